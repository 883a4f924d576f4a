"""What is put right around an optimizer's step."""

import numpy as np

from skmtl._numba import kernel


@kernel
def project_rows(W, index, G):
    """G[a] -= (G[a] . w) w,  w = W[index[a]]"""
    for a in range(len(index)):
        atom, g = W[index[a]], G[a]
        along = g.dtype.type(0)
        for f in range(len(g)):
            along += g[f] * atom[f]
        for f in range(len(g)):
            g[f] -= along * atom[f]


@kernel
def normalise_rows(W, index):
    one = W.dtype.type(1)
    for a in range(len(index)):
        atom = W[index[a]]
        square = atom.dtype.type(0)
        for f in range(len(atom)):
            square += atom[f] * atom[f]
        if not 0 < square < np.inf:  # squares below or above what there are numbers for
            largest = atom.dtype.type(0)
            for f in range(len(atom)):
                largest = max(largest, abs(atom[f]))
            if 0 < largest < np.inf:
                square = atom.dtype.type(0)
                for f in range(len(atom)):
                    atom[f] /= largest
                    square += atom[f] * atom[f]
        if square > 0:
            scale = one / np.sqrt(square)
            for f in range(len(atom)):
                atom[f] *= scale


class UnitAtoms:
    """Keep the rows of ``W_dec``, or of another array of atoms, at unit norm.

    Before the step the gradient loses its part along the atom, g <- g - (g . w) w, which only the
    norm would answer to; after it the atom is normalised, w <- w / |w|. A zero atom is left alone.
    """

    def __init__(self, name="W_dec"):
        self.name = name

    def project(self, gradient, value):
        project_rows(value, gradient.index, gradient.values)

    def after_step(self, gradient, value, lr):
        normalise_rows(value, gradient.index)


class AtLeast:
    """Keep a parameter at or above a bound, after each step."""

    def __init__(self, name, bound):
        self.name, self.bound = name, bound

    def project(self, gradient, value):
        pass

    def after_step(self, gradient, value, lr):
        value[gradient.index] = np.maximum(value[gradient.index], self.bound)
