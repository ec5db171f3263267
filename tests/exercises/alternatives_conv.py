"""Answers to ``08_convolution`` written another way: right ones that must pass, wrong ones that must not.

The wrong ones are slips that are not listed as mistakes in the specification.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

# --- conv.output_size ---------------------------------------------------------------------------------------------


def size_by_walking(size, kernel, stride=1, padding=0, dilation=1):
    places, first = 0, -padding
    while first + dilation * (kernel - 1) < size + padding:
        places, first = places + 1, first + stride
    return places


def size_by_math_floor(size, kernel, stride=1, padding=0, dilation=1):
    return math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1)


def size_as_array(size, kernel, stride=1, padding=0, dilation=1):
    return np.arange(0, size + 2 * padding - dilation * (kernel - 1), stride).size * np.ones(())


def size_without_stride(size, kernel, stride=1, padding=0, dilation=1):
    return size + 2 * padding - dilation * (kernel - 1)


def size_without_padding(size, kernel, stride=1, padding=0, dilation=1):
    return size_by_walking(size, kernel, stride, 0, dilation)


def size_of_keras_same(size, kernel, stride=1, padding=0, dilation=1):
    return -(-size // stride)


def size_as_text(size, kernel, stride=1, padding=0, dilation=1):
    return str(size_by_walking(size, kernel, stride, padding, dilation))


# --- conv.correlate -----------------------------------------------------------------------------------------------


def correlate_four_loops(image, kernel):
    (H, W), (KH, KW) = image.shape, kernel.shape
    rows = []
    for p in range(H - KH + 1):
        row = []
        for q in range(W - KW + 1):
            row.append(sum(image[p + i, q + j] * kernel[i, j] for i in range(KH) for j in range(KW)))
        rows.append(row)
    return rows


def correlate_windows_float32(image, kernel):
    windows = sliding_window_view(image.astype(np.float32), kernel.shape)
    return np.tensordot(windows, kernel.astype(np.float32), axes=2)


def correlate_torch(image, kernel):
    image, kernel = torch.from_numpy(image), torch.from_numpy(kernel)
    KH, KW = kernel.shape
    return (image.unfold(0, KH, 1).unfold(1, KW, 1) * kernel).sum(dim=(-1, -2))


def correlate_fft(image, kernel):
    spectrum = np.fft.fft2(image) * np.fft.fft2(kernel, image.shape).conj()
    return np.fft.ifft2(spectrum).real[: image.shape[0] - kernel.shape[0] + 1, : image.shape[1] - kernel.shape[1] + 1]


def correlate_flipped_rows(image, kernel):
    return correlate_windows_float32(image, kernel[::-1])


def correlate_flipped_columns(image, kernel):
    return correlate_windows_float32(image, kernel[:, ::-1])


def correlate_transposed_result(image, kernel):
    return correlate_windows_float32(image, kernel).T


def correlate_circular(image, kernel):
    spectrum = np.fft.fft2(image) * np.fft.fft2(kernel, image.shape).conj()
    return np.fft.ifft2(spectrum).real


def correlate_absolute(image, kernel):
    return np.abs(correlate_windows_float32(image, kernel))


# --- conv.im2col --------------------------------------------------------------------------------------------------


def im2col_windows(x, kernel, stride=1):
    windows = sliding_window_view(x, kernel, axis=(2, 3))[:, :, ::stride, ::stride]
    N, C, OH, OW, KH, KW = windows.shape
    return windows.transpose(0, 1, 4, 5, 2, 3).reshape(N, C * KH * KW, OH * OW)


def im2col_lists(x, kernel, stride=1):
    (N, _, H, W), (KH, KW) = x.shape, kernel
    made = []
    for n in range(N):
        columns = [
            x[n, :, p : p + KH, q : q + KW].ravel()
            for p in range(0, H - KH + 1, stride)
            for q in range(0, W - KW + 1, stride)
        ]
        made.append(np.stack(columns, axis=1))
    return made


def im2col_torch32(x, kernel, stride=1):
    windows = torch.from_numpy(x).float().unfold(2, kernel[0], stride).unfold(3, kernel[1], stride)
    return windows.permute(0, 1, 4, 5, 2, 3).flatten(4).flatten(1, 3)


def im2col_swapped_kernel(x, kernel, stride=1):
    return im2col_windows(x, kernel[::-1], stride)


def im2col_first_image(x, kernel, stride=1):
    return np.repeat(im2col_windows(x, kernel, stride)[:1], len(x), axis=0)


def im2col_stride_down_only(x, kernel, stride=1):
    windows = sliding_window_view(x, kernel, axis=(2, 3))[:, :, ::stride]
    return windows.transpose(0, 1, 4, 5, 2, 3).reshape(len(x), x.shape[1] * kernel[0] * kernel[1], -1)


def im2col_windows_backwards(x, kernel, stride=1):
    return im2col_windows(x, kernel, stride)[:, :, ::-1]


def im2col_squeezed(x, kernel, stride=1):
    return im2col_windows(x, kernel, stride).squeeze()


# --- conv.forward -------------------------------------------------------------------------------------------------


def forward_loops(x, w, b, stride=1, padding=0):
    (N, _, H, W), (K, _, KH, KW) = x.shape, w.shape
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    OH, OW = (H + 2 * padding - KH) // stride + 1, (W + 2 * padding - KW) // stride + 1
    out = np.empty((N, K, OH, OW))
    for n, k, p, q in itertools.product(range(N), range(K), range(OH), range(OW)):
        window = x[n, :, p * stride : p * stride + KH, q * stride : q * stride + KW]
        out[n, k, p, q] = np.sum(window * w[k]) + b[k]
    return out


def forward_matrix(x, w, b, stride=1, padding=0):
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)]).astype(np.float32)
    windows = sliding_window_view(x, w.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    out = np.tensordot(windows, w.astype(np.float32), axes=((1, 4, 5), (1, 2, 3))) + b.astype(np.float32)
    return out.transpose(0, 3, 1, 2)


def forward_torch(x, w, b, stride=1, padding=0):
    x, w, b = torch.from_numpy(x), torch.from_numpy(w), torch.from_numpy(b)
    N, C, H, W = x.shape
    padded = torch.zeros(N, C, H + 2 * padding, W + 2 * padding, dtype=x.dtype)
    padded[:, :, padding : padding + H, padding : padding + W] = x
    windows = padded.unfold(2, w.shape[2], stride).unfold(3, w.shape[3], stride)
    return torch.einsum("nchwij,kcij->nkhw", windows, w) + b[:, None, None]


def forward_lists(x, w, b, stride=1, padding=0):
    return forward_loops(x, w, b, stride, padding).tolist()


def forward_transposed_kernel(x, w, b, stride=1, padding=0):
    return forward_matrix(x, w.swapaxes(2, 3), b, stride, padding)


def forward_bias_subtracted(x, w, b, stride=1, padding=0):
    return forward_matrix(x, w, -b, stride, padding)


def forward_edge_padding(x, w, b, stride=1, padding=0):
    around = [(0, 0), (0, 0), (padding, padding), (padding, padding)]
    return forward_matrix(np.pad(x, around, mode="edge"), w, b, stride, 0)


def forward_stride_across_only(x, w, b, stride=1, padding=0):
    return forward_matrix(x, w, b, 1, padding)[..., ::stride]


def forward_stride_starts_at_one(x, w, b, stride=1, padding=0):
    return forward_matrix(x, w, b, 1, padding)[:, :, stride - 1 :: stride, stride - 1 :: stride]


def forward_channels_last(x, w, b, stride=1, padding=0):
    return forward_matrix(x, w, b, stride, padding).transpose(0, 2, 3, 1)


def forward_batch_reversed(x, w, b, stride=1, padding=0):
    return forward_matrix(x, w, b, stride, padding)[::-1]


# --- conv.backward ------------------------------------------------------------------------------------------------


def backward_loops(dout, x, w, stride=1, padding=0):
    (_, _, H, W), (_, _, KH, KW) = x.shape, w.shape
    padded = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    dx, dw, db = np.zeros(padded.shape), np.zeros(w.shape), np.zeros(len(w))
    for n, k, p, q in itertools.product(*map(range, dout.shape)):
        window = (n, slice(None), slice(p * stride, p * stride + KH), slice(q * stride, q * stride + KW))
        dx[window] += dout[n, k, p, q] * w[k]
        dw[k] += dout[n, k, p, q] * padded[window]
        db[k] += dout[n, k, p, q]
    return dx[:, :, padding : padding + H, padding : padding + W], dw, db


def backward_columns_float32(dout, x, w, stride=1, padding=0):
    """The transposed im2col, as a sum into flat pixel numbers."""
    dout, x, w = (a.astype(np.float32) for a in (dout, x, w))
    padded = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    number = np.arange(padded[0].size).reshape(padded.shape[1:])
    windows = sliding_window_view(number, w.shape[2:], axis=(1, 2))[:, ::stride, ::stride]
    index = windows.transpose(0, 3, 4, 1, 2).reshape(w[0].size, -1)
    rows = dout.reshape(*dout.shape[:2], -1)
    dw, dx = np.zeros((len(w), w[0].size), np.float32), np.zeros((len(x), padded[0].size), np.float32)
    for n in range(len(x)):
        dw += rows[n] @ padded[n].ravel()[index].T
        np.add.at(dx[n], index, w.reshape(len(w), -1).T @ rows[n])
    dx = dx.reshape(padded.shape)[:, :, padding:, padding:][:, :, : x.shape[2], : x.shape[3]]
    return [dx, dw.reshape(w.shape), rows.sum((0, 2))]


def backward_torch(dout, x, w, stride=1, padding=0):
    """dx as the full correlation of a stretched dout with the turned kernel."""
    dout, x, w = torch.from_numpy(dout), torch.from_numpy(x), torch.from_numpy(w)
    (N, C, H, W), (K, _, KH, KW), (OH, OW) = x.shape, w.shape, dout.shape[2:]
    padded = torch.zeros(N, C, H + 2 * padding, W + 2 * padding, dtype=x.dtype)
    padded[:, :, padding : padding + H, padding : padding + W] = x
    windows = padded.unfold(2, KH, stride).unfold(3, KW, stride)
    dw = torch.einsum("nkhw,nchwij->kcij", dout, windows)
    apart = torch.zeros(N, K, H + 2 * padding + KH - 1, W + 2 * padding + KW - 1, dtype=x.dtype)
    apart[:, :, KH - 1 :: stride, KW - 1 :: stride][:, :, :OH, :OW] = dout
    full = apart.unfold(2, KH, 1).unfold(3, KW, 1)
    dx = torch.einsum("nkhwij,kcij->nchw", full, w.flip(2, 3))
    return dx[:, :, padding : padding + H, padding : padding + W], dw, dout.sum(dim=(0, 2, 3))


def backward_dx_doubled(dout, x, w, stride=1, padding=0):
    dx, dw, db = backward_loops(dout, x, w, stride, padding)
    return 2 * dx, dw, db


def backward_dw_of_flipped_windows(dout, x, w, stride=1, padding=0):
    dx, dw, db = backward_loops(dout, x, w, stride, padding)
    return dx, dw[:, :, ::-1, ::-1], db


def backward_without_bias(dout, x, w, stride=1, padding=0):
    return backward_loops(dout, x, w, stride, padding)[:2]


def backward_last_image_only(dout, x, w, stride=1, padding=0):
    dx, _, _ = backward_loops(dout, x, w, stride, padding)
    return dx, *backward_loops(dout[-1:], x[-1:], w, stride, padding)[1:]


def backward_negative(dout, x, w, stride=1, padding=0):
    return [-g for g in backward_loops(dout, x, w, stride, padding)]


def backward_padding_cut_at_one_end(dout, x, w, stride=1, padding=0):
    around = [(0, 0), (0, 0), (padding, padding), (padding, padding)]
    dx, dw, db = backward_loops(dout, np.pad(x, around), w, stride, 0)
    return dx[:, :, : x.shape[2], : x.shape[3]], dw, db


def backward_bias_of_one_place(dout, x, w, stride=1, padding=0):
    dx, dw, _ = backward_loops(dout, x, w, stride, padding)
    return dx, dw, dout[:, :, 0, 0].sum(axis=0)


# --- conv.depthwise -----------------------------------------------------------------------------------------------


def depthwise_loops(x, w, padding=0):
    (N, C, H, W), (_, KH, KW) = x.shape, w.shape
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    OH, OW = H + 2 * padding - KH + 1, W + 2 * padding - KW + 1
    out = np.empty((N, C, OH, OW))
    for n, c, p, q in itertools.product(range(N), range(C), range(OH), range(OW)):
        out[n, c, p, q] = (x[n, c, p : p + KH, q : q + KW] * w[c]).sum()
    return out


def depthwise_windows_float32(x, w, padding=0):
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)]).astype(np.float32)
    windows = sliding_window_view(x, w.shape[1:], axis=(2, 3))
    return np.einsum("nchwij,cij->nchw", windows, w.astype(np.float32), optimize=True)


def depthwise_torch(x, w, padding=0):
    """A full layer whose filters are zero but in their own channel."""
    full = np.zeros((len(w), *w.shape), w.dtype)
    full[np.arange(len(w)), np.arange(len(w))] = w
    return forward_torch(x, full, np.zeros(len(w), w.dtype), 1, padding)


def depthwise_channels_reversed(x, w, padding=0):
    return depthwise_loops(x, w[::-1], padding)


def depthwise_mean(x, w, padding=0):
    return depthwise_loops(x, w / w[0].size, padding)


def depthwise_transposed(x, w, padding=0):
    return depthwise_loops(x, w.swapaxes(1, 2), padding)


def depthwise_always_same_size(x, w, padding=0):
    return depthwise_loops(x, w, w.shape[1] // 2)


# --- conv.layer ---------------------------------------------------------------------------------------------------


class LayerOfMatrices:
    """Pixels as rows of a matrix."""

    def __init__(self, w, b):
        self.w, self.b, self.dw, self.db = w, b, 0 * w, 0 * b

    def forward(self, x):
        self.rows = x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])
        self.shape = x.shape
        N, _, H, W = x.shape
        return (self.rows @ self.w.T + self.b).reshape(N, H, W, -1).transpose(0, 3, 1, 2)

    def backward(self, dout):
        drows = dout.transpose(0, 2, 3, 1).reshape(-1, dout.shape[1])
        self.dw = self.dw + drows.T @ self.rows
        self.db = self.db + drows.sum(0)
        N, C, H, W = self.shape
        return (drows @ self.w).reshape(N, H, W, C).transpose(0, 3, 1, 2)

    def step(self, lr):
        self.w, self.b = self.w - lr * self.dw, self.b - lr * self.db
        self.dw, self.db = 0 * self.w, 0 * self.b


class LayerOfTorch32:
    def __init__(self, w, b):
        self.w, self.b = torch.tensor(w).float(), torch.tensor(b).float()
        self.dw, self.db = torch.zeros_like(self.w), torch.zeros_like(self.b)

    def forward(self, x):
        self.x = torch.tensor(x).float()
        return torch.einsum("kc,nchw->nkhw", self.w, self.x) + self.b.view(-1, 1, 1)

    def backward(self, dout):
        dout = torch.tensor(dout).float()
        self.dw += torch.einsum("nkhw,nchw->kc", dout, self.x)
        self.db += dout.sum((0, 2, 3))
        return torch.einsum("kc,nkhw->nchw", self.w, dout)

    def step(self, lr):
        for parameter, gradient in ((self.w, self.dw), (self.b, self.db)):
            parameter -= lr * gradient
            gradient.zero_()


class LayerOfLoops:
    def __init__(self, w, b):
        self.w, self.b = w.astype(float), b.astype(float)
        self.dw, self.db = np.zeros(w.shape), np.zeros(b.shape)

    def forward(self, x):
        self.x = x
        N, C, H, W = x.shape
        out = np.zeros((N, len(self.b), H, W))
        for k in range(len(self.b)):
            out[:, k] = self.b[k] + sum(self.w[k, c] * x[:, c] for c in range(C))
        return out

    def backward(self, dout):
        dx = np.zeros(self.x.shape)
        for k in range(len(self.b)):
            self.db[k] += dout[:, k].sum()
            for c in range(self.x.shape[1]):
                self.dw[k, c] += (dout[:, k] * self.x[:, c]).sum()
                dx[:, c] += dout[:, k] * self.w[k, c]
        return dx

    def step(self, lr):
        self.w, self.b = self.w - lr * self.dw, self.b - lr * self.db
        self.dw[:], self.db[:] = 0, 0


class LayerTransposed(LayerOfMatrices):
    def backward(self, dout):
        return super().backward(dout[:, ::-1])


class LayerWithoutRate(LayerOfMatrices):
    def step(self, lr):
        super().step(1.0)


class LayerClearsWeights(LayerOfMatrices):
    def step(self, lr):
        super().step(lr)
        self.w = 0 * self.w


class LayerKeepsBiasGradient(LayerOfMatrices):
    def step(self, lr):
        db = self.db
        super().step(lr)
        self.db = db


class LayerWithoutGradients(LayerOfMatrices):
    def __init__(self, w, b):
        self.w, self.b = w, b


class LayerForgetsToAdd(LayerOfMatrices):
    def forward(self, x):
        return super().forward(x) - self.b[:, None, None]


# --- conv.equivariance --------------------------------------------------------------------------------------------


def edges_left_neighbour(image):
    return image - np.roll(image, 1, axis=1)


def edges_from_the_mean(image):
    return image - image.mean()


def edges_sobel_torch(image):
    x = torch.from_numpy(image).float()
    smooth = torch.roll(x, 1, 0) + 2 * x + torch.roll(x, -1, 0)
    return torch.roll(smooth, 1, 1) - torch.roll(smooth, -1, 1)


def edges_padded_wrap(image):
    around = np.pad(image, 1, mode="wrap")
    return np.tensordot(sliding_window_view(around, (3, 3)), np.array([[1, -3, 2], [0, 5, 0], [-1, 0, -4.0]]), axes=2)


def edges_high_pass(image):
    spectrum = np.fft.fft2(image)
    spectrum[0, 0] = 0
    return np.fft.ifft2(spectrum).real * 1000


def edges_loops(image):
    H, W = image.shape
    return [[float(image[p, q] - image[p - 1, (q + 2) % W]) for q in range(W)] for p in range(H)]


def edges_identity(image):
    return image


def edges_repeated_border(image):
    around = np.pad(image, 1, mode="edge")
    return around[1:-1, 2:] - around[1:-1, :-2]


def edges_numpy_gradient(image):
    return np.gradient(image, axis=0)


def edges_flipped_image(image):
    return edges_left_neighbour(image)[::-1]


def edges_normalised(image):
    difference = edges_left_neighbour(image)
    return difference / (np.abs(difference).max() + 1e-12)


def edges_smaller(image):
    return image[1:] - image[:-1]


def edges_of_fixed_size(image):
    return np.zeros((12, 17))


def edges_first_pixel(image):
    return image - image[0, 0]


def edges_rectified(image):
    return np.maximum(edges_left_neighbour(image), 0)


def edges_plus_one(image):
    return edges_left_neighbour(image) + 1


# --- conv.learn_filter --------------------------------------------------------------------------------------------


def learn_least_squares(images, targets, seed):
    windows = sliding_window_view(images, (3, 3), axis=(1, 2)).reshape(-1, 9)
    return np.linalg.lstsq(windows, targets.ravel(), rcond=None)[0].reshape(3, 3)


def learn_torch_momentum(images, targets, seed):
    images, targets = torch.from_numpy(images).float(), torch.from_numpy(targets).float()
    kernel = torch.randn(3, 3, generator=torch.Generator().manual_seed(seed))
    windows = images.unfold(1, 3, 1).unfold(2, 3, 1)
    speed = torch.zeros(3, 3)
    for _ in range(200):
        error = (windows * kernel).sum((-1, -2)) - targets
        speed = 0.9 * speed - 0.1 * (windows * error[..., None, None]).mean((0, 1, 2))
        kernel = kernel + speed
    return kernel


def learn_one_image_at_a_time(images, targets, seed):
    rng = np.random.default_rng(seed)
    kernel, (OH, OW) = np.zeros((3, 3)), targets.shape[1:]
    for step in range(1500):
        n = rng.integers(len(images))
        parts = np.array([[images[n, i : i + OH, j : j + OW] for j in range(3)] for i in range(3)])
        error = np.tensordot(kernel, parts, axes=2) - targets[n]
        kernel -= 0.25 / (1 + step / 500) * 2 * (parts * error).mean(axis=(2, 3))
    return kernel.tolist()


def learn_nothing(images, targets, seed):
    return np.zeros((3, 3))


def learn_random(images, targets, seed):
    return np.random.default_rng(seed).normal(size=(3, 3))


def learn_negative(images, targets, seed):
    return -learn_least_squares(images, targets, seed)


def learn_flat(images, targets, seed):
    return learn_least_squares(images, targets, seed).ravel()


def learn_not_a_number(images, targets, seed):
    return np.full((3, 3), np.nan)


def learn_huge(images, targets, seed):
    return np.full((3, 3), 1e200)


def learn_from_one_row(images, targets, seed):
    return learn_least_squares(images[:1, :3, :8], targets[:1, :1, :6], seed)


ALTERNATIVES = {
    "conv.output_size": [size_by_walking, size_by_math_floor, size_as_array],
    "conv.parameters": [(11 * 11 * 3 + 1) * 96, np.int64(34944), 34944.0],
    "conv.multiplications": [55 * 55 * 34848, np.int64(105415200), 105415200.0],
    "conv.correlate": [correlate_four_loops, correlate_windows_float32, correlate_torch, correlate_fft],
    "conv.im2col": [im2col_windows, im2col_lists, im2col_torch32],
    "conv.forward": [forward_loops, forward_matrix, forward_torch, forward_lists],
    "conv.backward": [backward_loops, backward_columns_float32, backward_torch],
    "conv.depthwise": [depthwise_loops, depthwise_windows_float32, depthwise_torch],
    "conv.layer": [LayerOfMatrices, LayerOfTorch32, LayerOfLoops],
    "conv.equivariance": [
        edges_left_neighbour,
        edges_from_the_mean,
        edges_sobel_torch,
        edges_padded_wrap,
        edges_high_pass,
        edges_loops,
    ],
    "conv.learn_filter": [learn_least_squares, learn_torch_momentum, learn_one_image_at_a_time],
}

WRONG = {
    "conv.output_size": [size_without_stride, size_without_padding, size_of_keras_same, size_as_text],
    "conv.parameters": [34943, 96, 11 * 11 * 3, 224 * 224 * 3 * 96, 34944.5],
    "conv.multiplications": [105415201, 55 * 55 * 96, 0, -105415200],
    "conv.correlate": [
        correlate_flipped_rows,
        correlate_flipped_columns,
        correlate_transposed_result,
        correlate_circular,
        correlate_absolute,
    ],
    "conv.im2col": [
        im2col_swapped_kernel,
        im2col_first_image,
        im2col_stride_down_only,
        im2col_windows_backwards,
        im2col_squeezed,
    ],
    "conv.forward": [
        forward_transposed_kernel,
        forward_bias_subtracted,
        forward_edge_padding,
        forward_stride_across_only,
        forward_stride_starts_at_one,
        forward_channels_last,
        forward_batch_reversed,
    ],
    "conv.backward": [
        backward_dx_doubled,
        backward_dw_of_flipped_windows,
        backward_without_bias,
        backward_last_image_only,
        backward_negative,
        backward_padding_cut_at_one_end,
        backward_bias_of_one_place,
    ],
    "conv.depthwise": [
        depthwise_channels_reversed,
        depthwise_mean,
        depthwise_transposed,
        depthwise_always_same_size,
    ],
    "conv.layer": [
        LayerTransposed,
        LayerWithoutRate,
        LayerClearsWeights,
        LayerKeepsBiasGradient,
        LayerWithoutGradients,
        LayerForgetsToAdd,
    ],
    "conv.equivariance": [
        edges_identity,
        edges_repeated_border,
        edges_numpy_gradient,
        edges_flipped_image,
        edges_normalised,
        edges_smaller,
        edges_of_fixed_size,
        edges_first_pixel,
        edges_rectified,
        edges_plus_one,
    ],
    "conv.learn_filter": [
        learn_nothing,
        learn_random,
        learn_negative,
        learn_flat,
        learn_not_a_number,
        learn_huge,
        learn_from_one_row,
    ],
}
