"""`python -m trainer.reproduce NAME --data DIR --out DIR`; the same as `kinsight reproduce`."""

import sys

from trainer.reproduce.process import main

sys.exit(main(sys.argv[1:]))
