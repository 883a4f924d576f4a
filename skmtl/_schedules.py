"""The learning rate over a fit, as a factor of its progress p in (0, 1).

constant       1
linear_decay   1 until p = 4/5, then linearly to 0
warmup_cosine  linearly from 0 over the first 1/20, then (1 + cos(pi q)) / 2, q in [0, 1] the rest
"""

import math

WARMUP = 0.05
DECAY_FROM = 0.8


def constant(progress):
    return 1.0


def linear_decay(progress):
    return min(1.0, (1 - progress) / (1 - DECAY_FROM))


def warmup_cosine(progress):
    if progress < WARMUP:
        return progress / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (progress - WARMUP) / (1 - WARMUP)))


SCHEDULES = {"constant": constant, "linear_decay": linear_decay, "warmup_cosine": warmup_cosine}
