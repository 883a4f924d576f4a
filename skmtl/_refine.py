"""Refine:  z_S = argmin |target_i - z_S @ W_dec[S]|^2,  S the support of row i's code, the rest 0;
with ``positive`` over z_S >= 0: nonnegative least squares.

A row is solved in float64 on its own atoms a_j = W_dec[j], j in S, brought to unit length, with the
amplitudes y_j = z_j |a_j|. From the amplitudes y0 that the encoder gave:

residual  = target_i - y0 @ a
G         = a @ a.T,   c = residual @ a.T
slope     = c - (y - y0) @ G                   minus half the derivative of |target_i - y @ a|^2
y        += (G + RIDGE I)^-1 slope             least squares: twice, for what the ridge held back
gain      = 2 (y - y0) . c - (y - y0) G (y - y0)    by which |residual|^2 has fallen

Starting from the residual and not from the target, rounding errors are relative to the change and
a code that is already right stays. The ridge stands in for a rule about dependent atoms: with equal
atoms, or with more atoms than features, the solution nearest to the encoder's is found. An atom of
length zero gets amplitude 0.

Where a step of least squares makes amplitudes negative, they become 0 and leave. From there
Lawson and Hanson's active set finds the exact minimum: the latent with the largest slope enters, a
step goes as far as all amplitudes stay positive, those that reach 0 leave. After 3 |S| + 10 steps
at most the row takes what was found, rounded to the code's dtype, if its gain is positive. Else it
keeps the encoder's amplitudes, those below 0 cut off. So the error of no row grows.
"""

import numpy as np

from skmtl import _layouts
from skmtl._layouts import CSR, Support
from skmtl._numba import kernel
from skmtl._threads import for_each_part

# Added to the Gram matrix of unit atoms. Far above what rounding does to a pivot; a direction in
# which the matrix is 1e-4 loses a millionth of the first step, and 1e-12 of both.
RIDGE = 1e-10
# A slope that counts as zero, relative to the lengths that went into it.
FLAT = 1e-10
ACTIVE, RESTING, BARRED = 0, 1, 2


@kernel
def subtract_rows(weights, M, n, start, out):
    """out[start:] -= sum_q weights[q] * M[q, start:],  q < n"""
    q = 0
    while q + 4 <= n:
        a, b, c, d = weights[q], weights[q + 1], weights[q + 2], weights[q + 3]
        M_a, M_b, M_c, M_d = M[q], M[q + 1], M[q + 2], M[q + 3]
        for s in range(start, len(out)):
            out[s] -= a * M_a[s] + b * M_b[s] + c * M_c[s] + d * M_d[s]
        q += 4
    while q < n:
        a, M_a = weights[q], M[q]
        for s in range(start, len(out)):
            out[s] -= a * M_a[s]
        q += 1


@kernel
def products(A, i, j, n, out):
    """out = A[i : i + 4, :n] @ A[j : j + 4, :n].T; sixteen sums at once keep the processor busy."""
    a, b, c, d = A[i], A[i + 1], A[i + 2], A[i + 3]
    x, y, z, w = A[j], A[j + 1], A[j + 2], A[j + 3]
    ax, bx, cx, dx = 0.0, 0.0, 0.0, 0.0
    ay, by, cy, dy = 0.0, 0.0, 0.0, 0.0
    az, bz, cz, dz = 0.0, 0.0, 0.0, 0.0
    aw, bw, cw, dw = 0.0, 0.0, 0.0, 0.0
    for f in range(n):
        ax += a[f] * x[f]
        bx += b[f] * x[f]
        cx += c[f] * x[f]
        dx += d[f] * x[f]
        ay += a[f] * y[f]
        by += b[f] * y[f]
        cy += c[f] * y[f]
        dy += d[f] * y[f]
        az += a[f] * z[f]
        bz += b[f] * z[f]
        cz += c[f] * z[f]
        dz += d[f] * z[f]
        aw += a[f] * w[f]
        bw += b[f] * w[f]
        cw += c[f] * w[f]
        dw += d[f] * w[f]
    out[0, 0], out[0, 1], out[0, 2], out[0, 3] = ax, ay, az, aw
    out[1, 0], out[1, 1], out[1, 2], out[1, 3] = bx, by, bz, bw
    out[2, 0], out[2, 1], out[2, 2], out[2, 3] = cx, cy, cz, cw
    out[3, 0], out[3, 1], out[3, 2], out[3, 3] = dx, dy, dz, dw


@kernel
def gram(A, n, G):
    """G = A @ A.T in the first n rows, where the column is not after the row."""
    for i in range(0, n, 4):
        for j in range(0, i + 4, 4):
            products(A, i, j, A.shape[1], G[i : i + 4, j : j + 4])


@kernel
def of_unit_atoms(G, length, inverse):
    """G of the atoms at unit length, with its upper triangle; and what their lengths were.

    Row k = len(length) of G, the products with the residual, is scaled too.
    """
    k = len(length)
    for i in range(k + 1):
        own = G[i]
        for j in range(min(i, k)):
            own[j] *= inverse[j]
        if i < k:
            length[i] = np.sqrt(own[i])
            inverse[i] = 1 / length[i] if length[i] > 0 else 0.0
            own[i] = 1.0 if length[i] > 0 else 0.0
            for j in range(i):
                own[j] *= inverse[i]
                G[j, i] = own[j]


@kernel
def factor(G, members, start, size, L):
    """L @ L.T = G[members][:, members] + RIDGE I, L lower triangular; rows before start are right.

    Cholesky by blocks of 4 x 4. In place of its diagonal L holds the reciprocals.
    """
    before = np.empty((4, 4))
    for i in range(start // 4 * 4, size, 4):
        for j in range(0, i + 4, 4):
            products(L, i, j, j, before)
            for r in range(i, min(i + 4, size)):
                own, row = G[members[r]], L[r]
                for c in range(j, min(j + 4, r + 1)):
                    total, other = own[members[c]] - before[r - i, c - j], L[c]
                    for s in range(j, c):
                        total -= row[s] * other[s]
                    if c < r:
                        row[c] = total * other[c]
                    else:  # at least RIDGE, but for rounding
                        row[c] = 1 / np.sqrt(max(total + RIDGE, RIDGE))


@kernel
def newton_step(L, members, size, slope, step):
    """step = (G + RIDGE I)^-1 slope among the members"""
    for p in range(size):
        row, total = L[p], slope[members[p]]
        for q in range(p):
            total -= row[q] * step[q]
        step[p] = total * row[p]
    for p in range(size - 1, -1, -1):
        row = L[p]
        value = step[p] * row[p]
        step[p] = value
        for q in range(p):
            step[q] -= value * row[q]


@kernel
def slope_at(y, y0, G, change, slope):
    """slope = c - change @ G,  change = y - y0; returns the length by which to judge it"""
    k = len(y)
    c, largest = G[k], 0.0
    for j in range(k):
        change[j] = y[j] - y0[j]
        slope[j] = c[j]
        largest = max(largest, abs(y[j]), abs(y0[j]))
    subtract_rows(change, G, k, 0, slope)
    return np.sqrt(G[k, k]) + largest


@kernel
def amplitudes(G, y0, positive, y, L, work, index):
    """From y = y0 to the minimum, over y >= 0 where positive.

    The last row of G is c, ended by the square of the residual. The rest is room to work in.
    """
    k = len(y)
    change, slope, step = work[0, :k], work[1, :k], work[2, :k]
    members, status = index[0], index[1]
    for j in range(k):
        members[j], status[j] = j, ACTIVE
    start, size = 0, k  # where members have changed, and how many there are
    together, entering = True, False
    length = slope_at(y, y0, G, change, slope)
    for _ in range(3 * k + 10):
        factor(G, members, start, size, L)
        newton_step(L, members, size, slope, step)
        if entering and step[size - 1] <= 0:  # against its slope: by rounding alone
            size -= 1
            status[members[size]] = BARRED
        else:
            share, first = 1.0, -1  # how far the step may go, and who reaches 0 there
            if not together:
                for p in range(size):
                    at = y[members[p]]
                    if at + step[p] <= 0 and at < -share * step[p]:
                        share, first = -at / step[p], p
            n_leaving = 0
            for p in range(size):
                j = members[p]
                y[j] += share * step[p]
                if positive and (y[j] <= 0 or p == first):
                    y[j], status[j] = 0.0, RESTING
                    n_leaving += 1
            length = slope_at(y, y0, G, change, slope)
            if n_leaving > 0:
                start, n_kept = size, 0
                for p in range(size):
                    members[n_kept] = members[p]
                    if status[members[p]] == ACTIVE:
                        n_kept += 1
                    else:
                        start = min(start, p)
                size, entering = n_kept, False
                continue
            together = not positive
            for j in range(k):
                status[j] = RESTING if status[j] == BARRED else status[j]
        best, steepest = -1, FLAT * length
        for j in range(k):
            if status[j] == RESTING and slope[j] > steepest:
                best, steepest = j, slope[j]
        if best < 0:
            break
        members[size], status[best], entering = best, ACTIVE, True
        start, size = size, size + 1
    else:
        return
    # Once more, for what the ridge held back.
    newton_step(L, members, size, slope, step)
    for p in range(size):
        if positive and y[members[p]] + step[p] <= 0:
            return
    for p in range(size):
        y[members[p]] += step[p]


@kernel
def refine_rows(data, indices, indptr, W, target, positive, out):
    """out = data, refined row by row."""
    n_features = W.shape[1]
    most = 0
    for i in range(len(indptr) - 1):
        most = max(most, indptr[i + 1] - indptr[i])
    padded = (most + 4) // 4 * 4  # of atoms and the residual, by fours
    A, G = np.zeros((padded, n_features)), np.zeros((padded, padded))
    L, work = np.zeros((padded, padded)), np.empty((7, most))
    index, places = np.empty((2, most), np.int64), np.empty(most, np.int64)
    for i in range(len(indptr) - 1):
        k = 0
        for p in range(indptr[i], indptr[i + 1]):
            value = data[p]
            out[p] = max(value, 0) if positive else value
            if value != 0:
                places[k] = p
                k += 1
        if k == 0:
            continue
        length, inverse, y0, y = work[3, :k], work[4, :k], work[5, :k], work[6, :k]
        for a in range(k):
            own, atom = A[a], W[indices[places[a]]]
            for f in range(n_features):
                own[f] = atom[f]
            y0[a] = out[places[a]]
        residual, row = A[k], target[i]
        for f in range(n_features):
            residual[f] = row[f]
        subtract_rows(y0, A, k, 0, residual)
        gram(A, k + 1, G)
        of_unit_atoms(G, length, inverse)
        for a in range(k):
            y0[a] *= length[a]
            y[a] = y0[a]
        amplitudes(G[: k + 1], y0, positive, y, L, work, index)
        keep_if_better(G, y0, length, inverse, places, y, work, out)


@kernel
def keep_if_better(G, y0, length, inverse, places, y, work, out):
    """Write the amplitudes to the places where, rounded as they will be, they gain."""
    k = len(y)
    change, slope, rounded = work[0, :k], work[1, :k], work[2, :k]
    for a in range(k):
        rounded[a] = out.dtype.type(y[a] * inverse[a])
        y[a] = rounded[a] * length[a]
    slope_at(y, y0, G, change, slope)
    gain = 0.0
    for a in range(k):
        gain += change[a] * (G[k, a] + slope[a])
    if gain > 0:  # not where it is NaN
        for a in range(k):
            out[places[a]] = rounded[a]


def refine(code, W_dec, target, positive=True):
    """The code with the same support and the amplitudes that reconstruct best.

    Parameters
    ----------
    code : ndarray or CSR of shape (n, m)
        Its support is where it is not zero.
    W_dec : ndarray of shape (m, d)
        Atoms, of any length.
    target : ndarray of shape (n, d)
        What ``code @ W_dec`` is to approach: X - b_dec.
    positive : bool, default=True
        Whether amplitudes are to be 0 or more. Some may become 0.

    Returns
    -------
    ndarray or CSR of shape (n, m)
        Of the layout of ``code`` and, as a CSR, with its support. In no row is the squared error
        above that of ``code`` (with ``positive``, of its positive part).

    Notes
    -----
    A row with k active latents costs k^2 d / 2 for the products of its atoms and k^3 / 6 for the
    solve, in float64 for every dtype.

    References
    ----------
    Lawson and Hanson, "Solving Least Squares Problems", 1974, chapter 23.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl._refine import refine
    >>> W_dec = np.eye(3)
    >>> refine(np.array([[0.5, 0.0, 0.5]]), W_dec, np.array([[2.0, 1.0, -1.0]]))
    array([[2., 0., 0.]])
    """
    if not isinstance(code, CSR):
        held = np.nonzero(code)
        indptr = np.searchsorted(held[0], np.arange(len(code) + 1))
        support = Support(held[1].astype(np.int32), indptr, code.shape[1])
        out = np.zeros(code.shape, code.dtype)
        out[held] = refine(CSR(code[held], support), W_dec, target, positive).data
        return out
    W_dec, target = np.ascontiguousarray(W_dec), np.ascontiguousarray(target)
    data = np.empty_like(code.data)

    def part(rows):
        indptr = code.indptr[rows.start : rows.stop + 1]
        refine_rows(code.data, code.indices, indptr, W_dec, target[rows], positive, data)

    n_rows = code.shape[0]
    k = 1 + len(code.data) // max(1, n_rows)
    for_each_part(part, n_rows, k * (k + 1) // 2 * W_dec.shape[1])
    return _layouts.with_values(code, data)
