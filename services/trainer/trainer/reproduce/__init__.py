"""Reproductions (★): every table and figure of the source papers, made again by one command.

Adding one is a file and a line in `REPRODUCTIONS`. The files import nothing heavy before they
run, so that the table is there at once.
"""

from __future__ import annotations

from trainer.reproduce.alexnet_ablations import AlexNetAblations
from trainer.reproduce.alexnet_figure_1 import AlexNetFigure1
from trainer.reproduce.alexnet_figure_3 import AlexNetFigure3
from trainer.reproduce.alexnet_figure_4 import AlexNetFigure4
from trainer.reproduce.alexnet_table_1 import AlexNetTable1
from trainer.reproduce.alexnet_table_2 import AlexNetTable2
from trainer.reproduce.base import SCALES, Reproduction, Scale
from trainer.reproduce.cbir_figure_13 import CbirFigure13
from trainer.reproduce.cbir_k_tables import CbirKTables
from trainer.reproduce.cbir_table_1 import CbirTable1
from trainer.reproduce.cbir_table_2 import CbirTable2
from trainer.reproduce.hash_accuracy import HashTable1, HashTable2, HashTable3
from trainer.reproduce.hash_bits import HashTable4, HashTable5

__all__ = ["REPRODUCTIONS", "SCALES", "Reproduction", "Scale"]

REPRODUCTIONS: dict[str, Reproduction] = {
    one.name: one
    for one in (
        CbirTable1(),
        CbirTable2(),
        CbirKTables(),
        CbirFigure13(),
        AlexNetFigure1(),
        AlexNetFigure3(),
        AlexNetFigure4(),
        AlexNetTable1(),
        AlexNetTable2(),
        AlexNetAblations(),
        HashTable1(),
        HashTable2(),
        HashTable3(),
        HashTable4(),
        HashTable5(),
    )
}
