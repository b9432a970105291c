"""Sources in every form, and the traps in which conversions fall in silence: each is caught and named."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from edgeworthy.variants.recipes.registry import all_recipes

from tests.integration.conversion_jobs import run_jobs, write_job
from tests.integration.test_recipes import answers

CLASSES = 4
SHAPE = (32, 32, 3)

FACTORY = """
import torch
from torch import nn

def build():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.Hardswish(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
        nn.Linear(128, 4),
    )

def wide():
    return nn.Flatten(0)

def no_module():
    return "a string"
"""

MAKE = """
import sys, keras, numpy as np, tensorflow as tf, torch
from keras import layers as L
images = np.load("images.npy")

keras.utils.set_random_seed(0)
i = keras.Input((32, 32, 3))
x = L.Flatten()(L.Activation("hard_swish")(L.Conv2D(8, 3, strides=4)(i)))
m = keras.Model(i, L.Dense(4)(x))
m.save("tiny.h5")
m.save("tiny.keras")
np.save("keras_answers.npy", m(images, training=False))
layers = [L.Conv2D(4, 3, strides=4), L.Flatten(), L.Dense(4)]
keras.Sequential([keras.Input((32, 32, 3)), *layers]).save("sequential.keras")
np.save("sequential_answers.npy", keras.Sequential(layers)(images, training=False))

class Doubling(L.Layer):
    def call(self, x):
        return 2 * x

for name, layer in {"own": Doubling(), "lambda": L.Lambda(lambda x: 2 * x)}.items():
    keras.Model(i, layer(x)).save(f"{name}.keras")

import tf_keras
from tf_keras import layers as K
tf_keras.utils.set_random_seed(0)
older_image = tf_keras.Input((32, 32, 3))
older_x = K.Flatten()(tf.nn.relu6(K.DepthwiseConv2D(3, strides=4)(older_image * 2 - 1)))
older = tf_keras.Model(older_image, K.Dense(4)(older_x))
older.save("keras_2.h5")
np.save("keras_2_answers.npy", older(images, training=False))
tf_keras.Model(older_image, K.Dense(4)(K.Lambda(lambda x: 2 * x)(older_x))).save("lambda.h5")

spec = tf.TensorSpec((None, 32, 32, 3), tf.float32)
serve = tf.function(lambda image: {"scores": m(image, training=False)}, input_signature=[spec])
module = tf.Module()
module.model, module.serve = m, serve
tf.saved_model.save(module, "signatures", signatures={"classify": serve})
tf.saved_model.save(module, "several", signatures={"classify": serve, "serving_default": serve})
tf.saved_model.save(tf.Module(), "bare")

a = keras.applications.MobileNetV2(weights=None, classes=4, input_shape=(32, 32, 3), classifier_activation=None)
a.save_weights("application.weights.h5")
np.save("application_answers.npy", a(images, training=False))
keras.applications.MobileNetV2(weights=None, classes=7, input_shape=(32, 32, 3)).save_weights("seven.weights.h5")

with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
    x = tf.compat.v1.placeholder(tf.float32, (None, 32, 32, 3), name="image")
    w = tf.compat.v1.get_variable("w", (3072, 4), initializer=tf.compat.v1.random_normal_initializer(seed=1), use_resource=False)
    y = tf.identity(tf.matmul(tf.reshape(x, (-1, 3072)), w), name="scores")
    session.run(tf.compat.v1.global_variables_initializer())
    tf.compat.v1.saved_model.simple_save(session, "tf1", {"image": x}, {"scores": y})
    frozen = tf.compat.v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["scores"])
    tf.io.write_graph(frozen, ".", "tf1.pb", as_text=False)
    np.save("tf1_answers.npy", session.run(y, {x: images}))

from factory import build
torch.manual_seed(0)
t = build().eval()
torch.save(t.state_dict(), "tiny.pt")
nchw = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
batch = torch.export.Dim("batch", min=1, max=1024)
torch.export.save(torch.export.export(t, (nchw[:2],), dynamic_shapes=({0: batch},)), "tiny.pt2")
torch.export.save(torch.export.export(t, (nchw[:1],)), "single.pt2")
torch.save({"epoch": 3, "state_dict": {"module._orig_mod." + k: v for k, v in t.state_dict().items()}}, "wrapped.pt")
with torch.no_grad():
    np.save("torch_answers.npy", t(nchw))

from edgeworthy.variants.models.torch_sources import _torchvision
v = _torchvision().models.get_model("mobilenet_v3_small", weights=None, num_classes=4).eval()
torch.save(v.state_dict(), "vision.pt")
with torch.no_grad():
    np.save("vision_answers.npy", v(nchw))
"""

#: Recipes of a user that fall into the traps.
TRAPS = '''
from edgeworthy import recipe

def lossless(name, runtime="litert"):
    return recipe(name, runtime=runtime, packages=("tensorflow",), lossless=True)

def through(source, out, change):
    import keras, tensorflow as tf
    image = keras.Input((32, 32, 3))
    folder = str(source.scratch / out.stem)
    keras.Model(image, source.keras_model()(change(image))).export(folder, verbose=False)
    out.write_bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())
    return "nhwc"

@lossless("concrete_function")
def concrete_function(source, out):
    """What many tutorials do; with Keras 3 the weights are lost on the way."""
    import tensorflow as tf
    model = source.keras_model()
    spec = tf.TensorSpec((1, 32, 32, 3), tf.float32)
    concrete = tf.function(lambda x: model(x)).get_concrete_function(spec)
    out.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete], model).convert())
    return "nhwc"

@lossless("bgr")
def bgr(source, out):
    import keras
    return through(source, out, lambda x: keras.ops.flip(x, -1))

@lossless("scaled_twice")
def scaled_twice(source, out):
    return through(source, out, lambda x: x / 255)

@lossless("never_scaled")
def never_scaled(source, out):
    return through(source, out, lambda x: x * 255)

@lossless("turned")
def turned(source, out):
    import keras
    return through(source, out, lambda x: keras.ops.transpose(x, (0, 2, 1, 3)))

@lossless("faithful")
def faithful(source, out):
    return through(source, out, lambda x: x)

@recipe("rewriting", runtime="onnxruntime", packages=("onnx",))
def rewriting(source, out):
    """As a simplifier does, and worse."""
    import onnx
    model = onnx.load(source.onnx_file())
    del model.graph.node[-1]
    onnx.save(model, source.onnx_file())
    out.write_bytes(source.onnx_file().read_bytes())
    return source.onnx_layout()

@recipe("unloadable", runtime="onnxruntime", packages=("onnx",))
def unloadable(source, out):
    """An operator that no runtime has."""
    import onnx
    model = onnx.load(source.onnx_file())
    model.graph.node[-1].op_type = "NoSuchOperator"
    onnx.save(model, out)
    return source.onnx_layout()

@recipe("newer", runtime="onnxruntime", packages=("onnx",))
def newer(source, out):
    import onnx
    onnx.save(onnx.version_converter.convert_version(onnx.load(source.onnx_file()), 21), out)
    return source.onnx_layout()
'''


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same few images and a tiny model in each form that a source may have, whole and damaged."""
    folder = tmp_path_factory.mktemp("models")
    np.save(folder / "images.npy", np.random.default_rng(0).random((8, *SHAPE), dtype=np.float32))
    (folder / "factory.py").write_text(FACTORY)
    (folder / "traps.py").write_text(TRAPS)
    subprocess.run([sys.executable, "-c", MAKE], cwd=folder, check=True, capture_output=True)
    (folder / "images_folder").mkdir()
    for name in ("tf1.pb", "tiny.pt2"):
        (folder / f"cut{Path(name).suffix}").write_bytes((folder / name).read_bytes()[:-400])
    write_pickled_archive(folder)
    write_damaged_archive(folder)
    (folder / "beside").mkdir()
    (folder / "beside" / "my_layers.py").write_text(FACTORY)
    (folder / "beside" / "net.py").write_text(
        "from my_layers import build as inner\ndef build():\n    return inner()\n"
    )
    return folder


class Work(NamedTuple):
    """What one child is asked for: a source, and recipes to see it through."""

    source: dict[str, Any]
    recipes: tuple[str, ...]


@pytest.fixture(scope="module")
def converted(models: Path) -> Converted:
    """Every piece of work of this file: its name -> recipe -> the last event, with the artifact's path as ``out``."""
    jobs = []
    for name, work in WORK.items():
        outs = {recipe: artifact(models, name, recipe) for recipe in work.recipes}
        (models / "made" / name).mkdir(parents=True)
        images, traps = models / "images.npy", [models / "traps.py"]
        jobs.append(write_job(models / f"{name}.json", work.source, outs, images, CLASSES, traps))
    made: Converted = {name: {} for name in WORK}
    for name, events in run_jobs(jobs, models / "log").items():
        for event in events:
            if "index" in event:
                recipe = WORK[name].recipes[event["index"]]
                made[name][recipe] = {**event, "out": artifact(models, name, recipe)}
    return made


def artifact(models: Path, name: str, recipe: str) -> Path:
    suffix = next(
        entry.runtime.suffix for known, entry in all_recipes([models / "traps.py"]).items() if known == recipe
    )
    return models / "made" / name / f"{recipe}{suffix}"


#: Work, and who knows the right answers.
FORMS: dict[str, tuple[Work, str]] = {
    "h5": (Work({"path": "tiny.h5"}, ("fp32", "ort_fp32")), "keras"),
    "sequential": (Work({"path": "sequential.keras"}, ("fp32", "ort_fp32")), "sequential"),
    "keras_2": (Work({"path": "keras_2.h5"}, ("fp32", "ort_fp32")), "keras_2"),
    "signature": (Work({"path": "signatures", "signature": "classify"}, ("fp32", "ort_fp32")), "keras"),
    "tf1": (Work({"path": "tf1"}, ("fp32", "ort_fp32")), "tf1"),
    "tf1_graph": (Work({"path": "tf1.pb", "input": "image:0", "output": "scores:0"}, ("fp32", "ort_fp32")), "tf1"),
    "pt2": (Work({"path": "tiny.pt2"}, ("fp32", "ort_fp32", "torch_fp32")), "torch"),
    "siblings": (Work({"factory": "beside/net.py:build", "weights": "wrapped.pt"}, ("torch_fp32",)), "torch"),
    "single": (Work({"path": "single.pt2"}, ("fp32", "ort_fp32")), "torch"),
    "vision": (Work({"torchvision": "mobilenet_v3_small", "weights": "vision.pt"}, ("fp32", "ort_fp32")), "vision"),
    "application": (
        Work({"keras_application": "MobileNetV2", "weights": "application.weights.h5"}, ("fp32", "ort_fp32")),
        "application",
    ),
    "opset_13": (
        Work({"factory": "factory.py:build", "weights": "tiny.pt", "opset": 13}, ("fp32", "ort_fp32", "ort_dynamic")),
        "torch",
    ),
}
TRAPPED = {
    "concrete_function": "NaN: its outputs hold NaN or infinity",
    "bgr": "channel order: it takes RGB for BGR, or BGR for RGB",
    "scaled_twice": "preprocessing: it scales by 1/255 once more",
    "never_scaled": "preprocessing: it lacks the scale factor 1/255",
    "turned": "layout: it takes height for width",
}
RANDOM: dict[str, dict[str, Any]] = {
    "vision": {"torchvision": "mobilenet_v3_small", "weights": "random"},
    "application": {"keras_application": "MobileNetV2", "weights": "random"},
}
#: A source, words of what is said, and of the next step.
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"path": "signatures"}, "has no signature 'serving_default'; known: classify", "correct"),
    ({"path": "signatures", "signature": "clasify"}, "did you mean 'classify'?", "correct"),
    ({"path": "several"}, "has 2 signatures: classify, serving_default, and none is chosen", "signature: NAME"),
    ({"path": "bare"}, "bare: the SavedModel has no signature 'serving_default'; it has none", "save it with"),
    ({"path": "images_folder"}, "images_folder: cannot be read as a SavedModel", "export"),
    ({"path": "nowhere"}, "nowhere: no such file or folder", "correct the path"),
    ({"path": "tf1.pb", "input": "img", "output": "scores"}, "the graph has no array 'img'", "input and output"),
    (
        {"path": "cut.pb", "input": "image", "output": "scores"},
        "cut.pb: cannot be read as a frozen graph",
        "export",
    ),
    ({"path": "cut.pt2"}, "cut.pt2: not plain weights but a pickle of other objects, or damaged", ""),
    ({"path": "bit.pt2"}, "bit.pt2: damaged: ", "export or copy the file again"),
    ({"path": "pickled.pt2"}, "pickled.pt2: not plain weights but a pickle", "without custom objects"),
    ({"torchvision": "mobilenet_v3_smal", "weights": "random"}, "did you mean 'mobilenet_v3_small'", ""),
    (
        {"torchvision": "resnet18", "weights": "vision.pt"},
        "the weights do not fit torchvision's resnet18",
        "as many classes",
    ),
    ({"keras_application": "MobilNetV2", "weights": "random"}, "did you mean 'MobileNetV2'", ""),
    (
        {"keras_application": "MobileNetV2", "weights": "seven.weights.h5"},
        "seven.weights.h5: the weights do not fit keras.applications.MobileNetV2",
        "number of classes",
    ),
    (
        {"keras_application": "MobileNetV2", "weights": "tiny.pt"},
        "tiny.pt: cannot be read as Keras weights",
        "save",
    ),
    (
        {"keras_application": "Xception", "weights": "random"},
        "Input size must be at least 71x71",
        "choose a dataset",
    ),
    (
        {"factory": "factory.py:wide", "weights": "random"},
        "returns shape (3072,), not",
        "the one tensor that is judged",
    ),
    (
        {"factory": "factory.py:no_module", "weights": "random"},
        "returned str, not a torch.nn.Module",
        "return the module",
    ),
    ({"path": "own.keras"}, "own.keras: it has the class or function 'Doubling'", "export the model as a SavedModel"),
    ({"path": "lambda.keras"}, "lambda.keras: it has a Lambda layer", "export the model as a SavedModel"),
    ({"path": "lambda.h5"}, "lambda.h5: it has a Lambda layer", "export the model as a SavedModel"),
]


def kind_of_module(source: dict[str, Any]) -> bool:
    return "factory" in source or "torchvision" in source or str(source.get("path")).endswith(".pt2")


WORK = {
    **{form: work for form, (work, _) in FORMS.items()},
    "trapped": Work({"path": "tiny.keras"}, (*TRAPPED, "faithful", "fp32")),
    "rewritten": Work({"path": "made/h5/ort_fp32.onnx"}, ("rewriting", "ort_fp32", "ort_dynamic", "fp32")),
    "unloadable": Work({"path": "made/h5/ort_fp32.onnx"}, ("unloadable",)),
    "newer": Work({"factory": "factory.py:build", "weights": "tiny.pt", "opset": 17}, ("newer", "ort_fp32")),
    **{
        f"random_{kind}_{time}": Work(source, ("ort_fp32",))
        for kind, source in RANDOM.items()
        for time in ("first", "second")
    },
    **{
        f"bad_{index}": Work(source, ("torch_fp32" if kind_of_module(source) else "fp32",))
        for index, (source, _, _) in enumerate(BAD)
    },
}
Converted = dict[str, dict[str, dict[str, Any]]]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_source_is_the_same_model(models: Path, converted: Converted, form: str) -> None:
    """Keras' older format, signatures, TF1, torch.export, torchvision, keras.applications, another opset: all answer alike."""
    work, knows = FORMS[form]
    images, expected = np.load(models / "images.npy"), np.load(models / f"{knows}_answers.npy")
    for recipe in work.recipes:
        entry = converted[form][recipe]
        assert entry["event"] == "made", entry
        if recipe.endswith("fp32"):
            given = np.concatenate([answers(entry, image[None]) for image in images])
            np.testing.assert_allclose(given, expected, atol=1e-4 * np.ptp(expected), rtol=0, err_msg=recipe)
        if entry["out"].suffix == ".onnx" and "opset" in work.source:
            assert opset_of(entry["out"]) == work.source["opset"]


def opset_of(path: Path) -> int:
    import onnx

    return next(int(entry.version) for entry in onnx.load(path).opset_import if entry.domain in ("", "ai.onnx"))


@pytest.mark.parametrize("recipe", TRAPPED)
def test_a_changed_model_is_caught_and_named(converted: Converted, recipe: str) -> None:
    """What converted in silence and is another model stops its variant, with the kind of the difference."""
    entry = converted["trapped"][recipe]
    assert entry["error_type"] == "NotTheSameModel", entry
    assert entry["message"].startswith(f"recipe {recipe!r}: converted, but not the same model: ")
    assert TRAPPED[recipe] in entry["message"]
    assert not entry["out"].exists()


def test_right_conversions_pass_beside_wrong_ones(converted: Converted) -> None:
    """A user's recipe that keeps the model, and edgeworthy's own, are made in the same process."""
    assert converted["trapped"]["faithful"]["event"] == converted["trapped"]["fp32"]["event"] == "made"


def test_an_onnx_file_that_is_rewritten_in_place_is_noticed(models: Path, converted: Converted) -> None:
    """The recipe that did it fails and is named; the user's file and the other recipes are unharmed."""
    made, original = converted["rewritten"], converted["h5"]["ort_fp32"]["out"].read_bytes()
    assert made["rewriting"]["event"] == "failed"
    assert "recipe 'rewriting' rewrote source.onnx in place" in made["rewriting"]["message"]
    assert made["ort_fp32"]["out"].read_bytes() == (models / "made" / "h5" / "ort_fp32.onnx").read_bytes() == original
    assert made["ort_dynamic"]["event"] == "made"


def test_what_its_runtime_cannot_load_is_not_kept(converted: Converted) -> None:
    """The recipe made a file; its runtime's first inference says no, in a sentence without a path of ours."""
    entry = converted["unloadable"]["unloadable"]
    assert entry["event"] == "refused"
    assert entry["message"].startswith("unloadable made an artifact that its runtime cannot run: ")
    assert "NoSuchOperator" in entry["message"]
    assert str(entry["out"].parent) not in entry["message"]
    assert not entry["out"].exists()


def test_what_onnx2tf_makes_of_a_flattened_nhwc_file_is_another_model(converted: Converted) -> None:
    """onnx2tf loses the order of a flattened NHWC map and says nothing; the comparison with the source does."""
    made = converted["rewritten"]["fp32"]
    assert made["error_type"] == "NotTheSameModel"
    assert made["message"].startswith(
        "the conversion to a SavedModel: converted, but not the same model: outputs differ"
    )


def test_an_opset_is_kept_or_refused(converted: Converted) -> None:
    """A recipe that changes the opset that the source asks for is refused, and says both."""
    made = converted["newer"]
    assert opset_of(made["ort_fp32"]["out"]) == 17
    assert made["newer"]["event"] == "refused"
    assert made["newer"]["message"] == "opset 17 was requested, and the file is of opset 21"


@pytest.mark.parametrize("kind", RANDOM)
def test_random_weights_are_the_same_every_time_and_alive(models: Path, converted: Converted, kind: str) -> None:
    """Random weights come from a seed; batch normalization is set so that the answers differ from image to image."""
    once, again = (converted[f"random_{kind}_{time}"]["ort_fp32"] for time in ("first", "second"))
    images = np.load(models / "images.npy")
    np.testing.assert_allclose(answers(once, images), answers(again, images), atol=1e-4)
    assert np.ptp(answers(once, images), axis=0).min() > 0.01


@pytest.mark.parametrize("index", range(len(BAD)), ids=lambda index: str(BAD[index][0]))
def test_what_is_wrong_with_a_source_is_said(converted: Converted, index: int) -> None:
    """A missing signature or array, a damaged file, a pickle, weights that do not fit: one sentence that names it."""
    _, message, hint = BAD[index]
    (entry,) = converted[f"bad_{index}"].values()
    assert entry["error_type"] == "SourceError", entry
    assert message in entry["message"]
    assert hint in entry["hint"]
    assert not entry["out"].exists()


def write_damaged_archive(folder: Path) -> None:
    """A torch.export file with one bit of its weights changed, which only the archive's checksum shows."""
    with zipfile.ZipFile(folder / "tiny.pt2") as good:
        weights = next(info for info in good.infolist() if "data/weights/weight_" in info.filename)
        value = good.read(weights)[:16]
    content = bytearray((folder / "tiny.pt2").read_bytes())
    content[content.index(value, weights.header_offset)] ^= 1
    (folder / "bit.pt2").write_bytes(content)


def write_pickled_archive(folder: Path) -> None:
    """A torch.export file in which one constant is a pickle that torch.export.load would run."""
    evil = b"cos\nsystem\n(S'touch pwned'\ntR."
    with zipfile.ZipFile(folder / "tiny.pt2") as good, zipfile.ZipFile(folder / "pickled.pt2", "w") as bad:
        for name in good.namelist():
            content = good.read(name)
            if name.endswith("model_constants_config.json"):
                content = (
                    b'{"config": {"c": {"path_name": "opaque_obj_0", "is_param": false, "use_pickle": false,'
                    b' "tensor_meta": null}}}'
                )
            bad.writestr(name, content)
        bad.writestr("tiny/data/constants/opaque_obj_0", evil)
