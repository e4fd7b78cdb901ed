"""Options of `alexnet` with which a training on the digits takes seconds."""

SMALL_ALEXNET = {
    "input_size": 32,
    "width": 0.125,
    "fc_width": 64,
    "hash_bits": 16,
    "towers": 1,
}
