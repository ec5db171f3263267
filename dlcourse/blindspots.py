"""Chapter 17: where each measure of generated data is misled: data on which it says one thing, and the eye another.

    gaussian, ring = same_moments(1000, rng)             # data for a picture
    fid_of_same_moments(rng)                             # {"FID, Gaussian and ring": 0.01, ...}

Functions that make data give arrays. The others give measurements with their names; ``rng`` draws the data, so that the
spread over seeds can be shown. What needs a classifier gets it as a function from images to features or probabilities.

Sources: Borji, Pros and cons of GAN evaluation measures, Computer Vision and Image Understanding 179 (2019),
arXiv:1802.03446; Theis, van den Oord and Bethge, A note on the evaluation of generative models, ICLR (2016),
arXiv:1511.01844; and at each function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist

from dlcourse import metrics

Measured = dict[str, float]
Sees = Callable[[np.ndarray], np.ndarray]  # images to features (N, D) or to probabilities (N, K)

# ------------------------------------------------------------------------------------------- distances of distributions


def same_moments(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points of a Gaussian, and points on a ring with the same mean, 0, and the same covariance, I.

    Returns
    -------
    gaussian, ring : (n, 2)
    """
    angle = rng.uniform(0, 2 * np.pi, n)
    return rng.normal(size=(n, 2)), np.sqrt(2) * np.stack([np.cos(angle), np.sin(angle)], 1)


def fid_of_same_moments(rng: np.random.Generator, n: int = 500) -> Measured:
    """FID compares two moments and is as good for the ring as for a Gaussian; the MMD test tells them apart.

    Source: Jayasumana et al., Rethinking FID, CVPR (2024), arXiv:2401.09603, section 4.
    """
    gaussian, ring = same_moments(n, rng)
    return {
        "FID, Gaussian and Gaussian": metrics.fid(gaussian, rng.normal(size=(n, 2))),
        "FID, Gaussian and ring": metrics.fid(gaussian, ring),
        "p of the MMD test, Gaussian and ring": metrics.mmd_test(
            gaussian, ring, rng, bandwidth=0.5, permutations=199
        ).p,
    }


def fid_of_few(rng: np.random.Generator, D: int = 64, few: int = 200, many: int = 5000, shift: float = 0.2) -> Measured:
    """FID of few samples is too large: a perfect generator looks worse than a wrong one that drew more.

    Source: Bińkowski et al., Demystifying MMD GANs, ICLR (2018), arXiv:1801.01401, section 4 and appendix D.
    """
    real, perfect, wrong = (rng.normal(size=(many, D)) for _ in range(3))
    wrong += shift
    return {
        f"FID, the same distribution, {few} samples": metrics.fid(real, perfect[:few]),
        f"FID, the same distribution, {many:,} samples": metrics.fid(real, perfect),
        f"FID, every feature {shift} too large, {many:,} samples": metrics.fid(real, wrong),
    }


def kid_of_few(rng: np.random.Generator, D: int = 64, few: int = 25, shift: float = 0.08) -> Measured:
    """KID is right on average, but of few samples it scatters so far that the wrong generator often wins.

    Source: Bińkowski et al. (2018), section 4.
    """
    real, perfect, wrong = rng.normal(size=(3, few, D))
    same = metrics.kid(real, perfect, rng, subsets=1, size=few)[0]
    other = metrics.kid(real, wrong + shift, rng, subsets=1, size=few)[0]
    return {
        f"KID, the same distribution, {few} samples": same,
        f"KID, every feature {shift} too large, {few} samples": other,
        "the wrong one has the lower KID (1: yes)": float(other < same),
    }


def wasserstein_of_a_collapse(rng: np.random.Generator, D: int = 50, n: int = 200) -> Measured:
    """In many dimensions, samples are far from one another: the mean, n times, is nearer than a perfect sample.

    Source: Dudley, The speed of mean Glivenko-Cantelli convergence, Annals of Mathematical Statistics 40 (1969): the
    distance of two samples falls like ``n^(-1/D)``.
    """
    real, perfect = rng.normal(size=(2, n, D))
    return {
        f"W₁, the same distribution, {D} dimensions": metrics.wasserstein(real, perfect),
        f"W₁, one point {n} times": metrics.wasserstein(real, np.zeros((n, D))),
        "W₁, the same distribution, 1 dimension": metrics.wasserstein_1d(real[:, 0], perfect[:, 0]),
    }


def fine_structure(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Numbers in heaps at -5 and 5: smooth ones, and ones that are two narrow peaks of the same mean and variance.

    Returns
    -------
    smooth, peaks : (n,)
    """
    heaps = rng.choice([-5.0, 5.0], (2, n))
    return heaps[0] + 0.5 * rng.normal(size=n), heaps[1] + rng.choice([-0.49, 0.49], n) + 0.1 * rng.normal(size=n)


def mmd_with_a_bandwidth(rng: np.random.Generator, n: int = 200) -> Measured:
    """MMD sees what is as large as its kernel: the median distance is that of the heaps, and hides what is in them.

    Source: Gretton et al., Optimal kernel choice for large-scale two-sample tests, NeurIPS (2012).
    """
    smooth, peaks = fine_structure(n, rng)
    tests = {
        "the median": None,
        "0.3": 0.3,
        "0.000001": 1e-6,
    }
    return {
        f"p of the MMD test, bandwidth {name}": metrics.mmd_test(smooth, peaks, rng, bandwidth=h, permutations=199).p
        for name, h in tests.items()
    }


# ------------------------------------------------------------------------------------------------ diversity, coverage


def one_image_a_class(labels: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Indices (n,) of what a generator makes that knows one image of each class: every class as often."""
    labels = np.asarray(labels)
    chosen = [rng.choice(np.flatnonzero(labels == c)) for c in np.unique(labels)]
    return np.resize(chosen, n)


def inception_of_one_image_a_class(
    rng: np.random.Generator, images: np.ndarray, labels: np.ndarray, probabilities: Sees, features: Sees
) -> Measured:
    """The inception score asks for many classes, not for many images: one clear image a class is enough.

    Parameters
    ----------
    images : (N, ...), real
    labels : (N,)

    Source: Barratt and Sharma, A note on the inception score (2018), arXiv:1801.01973, section 4.
    """
    clear = np.flatnonzero(probabilities(images).max(1) > 0.99)
    few = images[clear[one_image_a_class(labels[clear], len(images), rng)]]
    real, fake = features(images), features(few)
    frequencies = np.unique(labels, return_counts=True)[1] / len(labels)
    return {
        "inception score, real images": metrics.inception_score(probabilities(images))[0],
        "inception score, one image a class": metrics.inception_score(probabilities(few))[0],
        "mode score, one image a class": metrics.mode_score(probabilities(few), frequencies),
        "coverage, one image a class": metrics.coverage(real, fake),
        "FID, one image a class": metrics.fid(real, fake),
    }


def inception_of_noise(
    rng: np.random.Generator, images: np.ndarray, probabilities: Sees, tries: int = 5000
) -> Measured:
    """A classifier is sure of some noise too: pick, of many noises, those that it takes for each of its classes.

    Source: Barratt and Sharma (2018), section 4.2.
    """
    noise = rng.random((tries, *images.shape[1:])).round().astype(images.dtype)
    p = probabilities(noise)
    chosen = p.argsort(0)[-5:].T.reshape(-1)  # of each class, the five noises it is surest of
    return {
        "inception score, real images": metrics.inception_score(probabilities(images))[0],
        "inception score, chosen noise": metrics.inception_score(p[chosen])[0],
    }


def memorised(rng: np.random.Generator, real: np.ndarray) -> Measured:
    """A generator that hands out its training set beats one that draws new data of the same kind.

    Half of the real data are the training set; the other half is what a perfect generator would draw.

    Parameters
    ----------
    real : (N, D), features

    Source: Theis et al. (2016), section 3.3.
    """
    train, new = np.array_split(rng.permutation(real), 2)
    copies = train[rng.integers(len(train), size=len(new))]
    found = {}
    for name, fake in (("copies", copies), ("new images", new)):
        found |= {
            f"FID, {name}": metrics.fid(train, fake),
            f"coverage, {name}": metrics.coverage(train, fake),
            f"distance to the nearest training image, {name}": float(cdist(fake, train).min(1).mean()),
        }
    return found


def coverage_with_junk(rng: np.random.Generator, n: int = 500) -> Measured:
    """Coverage asks that real points are met, not that what meets them is good: eight in ten samples are junk.

    Source: Naeem et al., Reliable fidelity and diversity metrics for generative models, ICML (2020), arXiv:2002.09797.
    """
    real, fake = rng.normal(size=(2, n, 2))
    junk = rng.normal(size=(4 * n, 2)) + 20
    good, mixed = metrics.neighbours(real, fake), metrics.neighbours(real, np.concatenate([fake, junk]))
    return {
        "coverage, good samples": good.coverage,
        "coverage, with 80% junk": mixed.coverage,
        "precision, with 80% junk": mixed.precision,
    }


def precision_with_an_outlier(rng: np.random.Generator, n: int = 300) -> Measured:
    """One outlier among the real points has a ball that reaches to all others, and all samples in it count as good.

    Source: Naeem et al. (2020), section 3.1 and figure 1.
    """
    real = np.concatenate([rng.normal(size=(n, 2)), [[30.0, 0.0]]])
    fake = rng.normal(size=(n, 2)) + np.array([15.0, 0.0])
    found = metrics.neighbours(real, fake)
    return {"precision": found.precision, "density": found.density, "coverage": found.coverage}


def density_of_the_mean(rng: np.random.Generator, D: int = 50, n: int = 500) -> Measured:
    """In many dimensions, the mean is nearer to most points than their neighbours are: it lies in nearly every ball.

    Precision, density and coverage take copies of the mean for the best of generators. Recall does not.

    Source: Radovanović et al., Hubs in space, J. Machine Learning Research 11 (2010).
    """
    real, good = rng.normal(size=(2, n, D))
    found = {}
    for name, fake in (("good samples", good), ("copies of the mean", 1e-3 * good)):
        found |= {f"{measure}, {name}": value for measure, value in metrics.neighbours(real, fake)._asdict().items()}
    return found


def recall_of_scattered_points(rng: np.random.Generator, n: int = 500) -> Measured:
    """Generated points far from one another have wide balls, in which all real points lie, though none was made well.

    Source: Naeem et al. (2020), section 3.1.
    """
    real, scattered = rng.normal(size=(n, 2)), 60 * rng.normal(size=(n, 2))
    found = metrics.neighbours(real, scattered)
    return {"recall": found.recall, "precision": found.precision, "coverage": found.coverage}


def diversity_of_noise(rng: np.random.Generator, images: np.ndarray, n: int = 500) -> Measured:
    """Nothing is more diverse than noise: mean pairwise distance does not ask what the images show.

    Parameters
    ----------
    images : (N, ...), with values from 0 to 1

    Source: Borji (2019), section 2.
    """
    real = images[rng.choice(len(images), min(n, len(images)), replace=False)].reshape(-1, images[0].size)
    return {
        "diversity, real images": metrics.diversity(real),
        "diversity, black and white noise": metrics.diversity(rng.random(real.shape).round()),
    }


def one_sample_a_mode(rng: np.random.Generator, n: int = 500, modes: int = 8) -> Measured:
    """Modes found says 8 of 8, although all samples but seven are in one of them; the shares tell."""
    angle = 2 * np.pi * np.arange(modes) / modes
    centres = 2 * np.stack([np.cos(angle), np.sin(angle)], 1)
    where = np.concatenate([np.arange(modes), np.zeros(n - modes, int)])
    found = metrics.count_modes(centres[where] + 0.02 * rng.normal(size=(n, 2)), centres, 0.1)
    return {
        f"modes found, of {modes}": float(found.found),
        "share of the samples in the largest": float(found.counts.max() / found.counts.sum()),
    }


# --------------------------------------------------------------------------------------------------------- two images


def changed(image: np.ndarray) -> dict[str, np.ndarray]:
    """An image (H, W), one pixel to the side, blurred, and brighter, by name; each one row and column smaller.

    One pixel to the side, the eye sees no difference; blurred, it sees at once.
    """
    blurred = gaussian_filter(image, 1.0)
    return {
        "as it is": image[1:, 1:],
        "one pixel to the side": image[1:, :-1],
        "blurred": blurred[1:, 1:],
        "brighter by 0.1": image[1:, 1:] + image.dtype.type(0.1),
    }


def ssim_of_a_shift(rng: np.random.Generator, photograph: np.ndarray, size: int = 64) -> Measured:
    """SSIM compares pixel by pixel: one pixel to the side is worse than a blur, though no eye sees it.

    Parameters
    ----------
    photograph : (H, W), with values from 0 to 1; a random piece is taken

    Source: Sampat et al., Complex wavelet structural similarity, IEEE Transactions on Image Processing 18 (2009),
    section I.
    """
    top, left = (rng.integers(0, side - size) for side in photograph.shape)
    images = changed(photograph[top : top + size + 1, left : left + size + 1])
    original = images.pop("as it is")
    return {f"SSIM, {name}": float(metrics.ssim(original, image)) for name, image in images.items()}


def edge_layers(images: np.ndarray) -> list[np.ndarray]:
    """Two layers of features without a bias: edges to the left, right, top and bottom, at two sizes.

    Parameters
    ----------
    images : (N, H, W), H and W even

    Returns
    -------
    (N, 4, H, W) and (N, 4, H/2, W/2)
    """
    N, H, W = images.shape
    small = images.reshape(N, H // 2, 2, W // 2, 2).mean((2, 4))
    layers = []
    for x in (images, small):
        down, right = np.gradient(x, axis=(1, 2))
        layers.append(np.maximum(np.stack([down, -down, right, -right], 1), 0))
    return layers


def perceptual_of_a_faint_image(rng: np.random.Generator, images: np.ndarray, faint: float = 0.02) -> Measured:
    """The length of the features is divided out, so an image at 2% of its contrast is the same to the measure.

    With biases in the network it is not exactly the same; it is nearer than it looks.

    Parameters
    ----------
    images : (N, H, W), with values from 0 to 1
    """
    x = images[rng.choice(len(images), 200, replace=False)].astype(float)
    layers = edge_layers(x)
    other = [np.roll(layer, 1, axis=0) for layer in layers]
    return {
        f"perceptual distance, {faint:.0%} of the contrast": float(
            metrics.perceptual_distance(layers, edge_layers(faint * x)).mean()
        ),
        "perceptual distance, another image": float(metrics.perceptual_distance(layers, other).mean()),
        f"mean pixel, at {faint:.0%} of the contrast": float(faint * x.mean()),
    }


# -------------------------------------------------------------------------------------------------------------- words

SENTENCES = (
    (
        "the doctor says that the test was positive and the child needs help today",
        "the doctor says that the test was negative and the child needs help today",
        "according to our physician it came back positive so treatment must begin at once",
    ),
    (
        "we did not find any fault in the bridge after the storm of last week",
        "we did find any fault in the bridge after the storm of last week",
        "last week's storm left it undamaged as far as we could tell",
    ),
    (
        "the train to the north leaves at nine and the train to the south at ten",
        "the train to the south leaves at nine and the train to the north at ten",
        "northbound departure is 9:00 while southbound passengers have to wait another hour",
    ),
)
"""Right sentences, each with a wrong one that differs by a word or two, and a right one in other words."""


def _words(column: int) -> list[list[str]]:
    return [row[column].split() for row in SENTENCES]


def bleu_of_a_paraphrase() -> Measured:
    """BLEU compares words: a false sentence with nearly all the words beats a true one with others.

    Source: Callison-Burch, Osborne and Koehn, Re-evaluating the role of BLEU in machine translation research, EACL
    (2006).
    """
    references = [[words] for words in _words(0)]
    return {
        "BLEU, false by a word or two": metrics.bleu(_words(1), references),
        "BLEU, true, in other words": metrics.bleu(_words(2), references),
        "BLEU-1, true, in other words": metrics.bleu(_words(2), references, 1),
    }


def rouge_of_shuffled_words(rng: np.random.Generator) -> Measured:
    """ROUGE-1 does not read the order: shuffled words are perfect.

    Source: Schluter, The limits of automatic summarisation according to ROUGE, EACL (2017).
    """
    pairs = [([words[i] for i in rng.permutation(len(words))], words) for words in _words(0)]

    def mean(score: Callable[[Sequence[str], Sequence[str]], metrics.Rouge]) -> float:
        return float(np.mean([score(*pair).f for pair in pairs]))

    return {
        "ROUGE-1, shuffled words": mean(metrics.rouge_n),
        "ROUGE-2, shuffled words": mean(lambda a, b: metrics.rouge_n(a, b, 2)),
        "ROUGE-L, shuffled words": mean(metrics.rouge_l),
    }
