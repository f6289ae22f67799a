"""The desk: digits with calibrated scores, other artifacts beside the one that reads, and which ink decided."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.apps.digits.desk import Desk, Sheet
from edgekit.apps.digits.networks import Network, open_others, open_session
from edgekit.apps.digits.pages.pictures import seen
from edgekit.apps.digits.saliency import occlusion
from edgekit.core.errors import InputError
from edgekit.loading import load
from edgekit.models.digits import NUMBER, TEMPERATURE, artifacts, draw, model_path, number_picture, samples
from edgekit.tasks.pictures.images import decode_image, read_image

pytest.importorskip("onnxruntime")
pytest.importorskip("PIL")

Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    session = open_session(None, "auto")
    others, absent = open_others(session, None)
    opened = Desk(Network(session), tuple(Network(other) for other in others), absent)
    yield opened
    opened.close()


def test_a_page_is_read_with_every_artifacts_opinion_of_every_digit(desk: Desk) -> None:
    read = desk.read(read_image(number_picture()))
    assert read.number == NUMBER
    for look in read.looks:
        assert [opinion.about for opinion in look.opinions] == [network.about for network in (desk.reader, *desk.others)]
        assert {opinion.digit for opinion in look.opinions} == {look.digit.digit}
        assert look.opinions[0].top3 == look.digit.top3
        assert look.picture.shape == (28, 28)
        assert not look.is_unsure


def test_the_packaged_artifacts_stand_side_by_side(desk: Desk) -> None:
    pytest.importorskip("ai_edge_litert")
    assert [(network.about.precision, network.about.runtime) for network in (desk.reader, *desk.others)] == [
        ("fp32", "onnxruntime"),
        ("int8", "litert"),
    ]
    assert all(network.about.calibrated and network.about.file_bytes > 10_000 for network in (desk.reader, *desk.others))


def test_the_temperature_is_that_of_the_shipped_network() -> None:
    from edgekit.core.files import sha256_file

    fitted = msgspec.json.decode(TEMPERATURE.read_bytes())
    assert fitted["network"] == sha256_file(model_path())
    assert "train-images" in fitted["fitted_on"]
    assert fitted["calibration_error"] < fitted["calibration_error_before"]


def test_scribbles_are_unsure(desk: Desk) -> None:
    """No network is asked whether a thing is a digit; most of what is none gets a low score."""
    random, unsure = np.random.default_rng(2), 0
    for _ in range(8):
        sheet = np.full((240, 240, 3), 255, np.uint8)
        for x, y in random.integers(40, 190, (9, 2)):
            sheet[y : y + 14, x : x + int(random.integers(10, 60))] = 0
        looks = desk.read(sheet).looks
        unsure += any(look.is_unsure for look in looks) or not looks
    assert unsure >= 6


def test_an_empty_sheet_has_no_digits(desk: Desk) -> None:
    read = desk.read(np.full((480, 640, 3), 255, np.uint8))
    assert (read.looks, read.number) == ((), "")


def test_another_networks_scores_are_left_alone(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from edgekit import convert

    model = onnx.load(model_path())
    model.doc_string = "another file, and so another network"
    onnx.save(model, tmp_path / "other.onnx")
    with load(convert(tmp_path / "other.onnx", target="cpu", precision="fp32", output=tmp_path / "out").path) as session:
        network = Network(session)
        assert not network.about.calibrated
        picture = read_image(samples()[0].path)[..., 0].astype(np.float32) / 255
        spec = session.inputs[0]
        raw = session.run({spec.name: picture.reshape(spec.shape)})[session.outputs[0].name][0]
        np.testing.assert_array_equal(network(picture), raw)


def area(picture: Floats, order: NDArray[np.int64], digit: int, classify: Callable[[Floats], Floats], *, delete: bool) -> float:
    """The mean probability of `digit` while pixels go (or come) in `order`, a twentieth at a time."""
    flat = picture.ravel()
    now = flat.copy() if delete else np.zeros_like(flat)
    scores = []
    for part in np.array_split(order, 20):
        now[part] = 0 if delete else flat[part]
        scores.append(float(classify(now.reshape(picture.shape))[digit]))
    return float(np.mean(scores))


def by(weights: NDArray[np.floating], picture: Floats) -> NDArray[np.int64]:
    """The pixels with ink, the weightiest first."""
    order = np.argsort(-weights.ravel(), kind="stable")
    return order[picture.ravel()[order] > 0]


def smooth_noise(random: np.random.Generator) -> NDArray[np.floating]:
    """Weights that say nothing, as coarse as those of patches are: dust would be put in and taken away more evenly."""
    noise = np.pad(random.standard_normal((28, 28)), 2, mode="edge")
    return sum(noise[y : y + 28, x : x + 28] for y in range(5) for x in range(5))


@pytest.mark.parametrize("artifact", artifacts(), ids=lambda path: path.name)
def test_the_ink_that_is_named_is_the_ink_that_decides(artifact: Path) -> None:
    """Deletion and insertion (Petsiuk et al., 2018), against weights by chance: the answer falls sooner, and comes sooner."""
    random, gains = np.random.default_rng(0), []
    with load(artifact, threads=1) as session:
        network = Network(session)
        for sample in samples()[::2]:
            picture = read_image(sample.path)[..., 0].astype(np.float32) / 255
            named = by(occlusion(picture, sample.digit, network), picture)
            chance = [by(smooth_noise(random), picture) for _ in range(3)]
            for delete in (True, False):
                by_chance = np.mean([area(picture, order, sample.digit, network, delete=delete) for order in chance])
                gain = area(picture, named, sample.digit, network, delete=delete) - by_chance
                gains.append(-gain if delete else gain)
    deletion, insertion = np.mean(np.reshape(gains, (-1, 2)), axis=0)
    assert deletion > 0.1
    assert insertion > 0.08


def test_only_ink_is_weighed_and_the_most_telling_is_one(desk: Desk) -> None:
    picture = draw.small_digit(8, 3).astype(np.float32) / 255
    weights = occlusion(picture, 8, desk.reader)
    assert (weights[picture == 0] == 0).all()
    assert np.abs(weights).max() == pytest.approx(1)


def test_the_picture_of_what_decided_is_orange_for_and_blue_against() -> None:
    import base64

    picture, weights = np.ones((28, 28), np.float32), np.zeros((28, 28), np.float32)
    weights[:, :14], weights[:, 14:] = 1, -1
    image = decode_image(base64.b64decode(seen(picture, weights).partition(",")[2]))
    assert tuple(image[5, 5]) == (255, 122, 28)
    assert tuple(image[5, 20]) == (64, 140, 255)


def test_a_picture_that_came_as_bytes_is_checked_like_a_file() -> None:
    assert (decode_image(number_picture().read_bytes()) == read_image(number_picture())).all()
    with pytest.raises(InputError, match="'x' is empty"):
        decode_image(b"", "x")
    with pytest.raises(InputError, match="not a picture"):
        decode_image(b"GIF8 nonsense")
    with pytest.raises(InputError, match="the limit is 0 megapixels"):
        decode_image(number_picture().read_bytes(), pixels=1000)


def test_an_answer_that_a_clearing_overtook_is_not_shown(desk: Desk) -> None:
    """Undo or Clear, while the last picture is still being read: the page stays empty."""
    pytest.importorskip("nicegui", reason="NiceGUI (extra web) is not installed")
    from edgekit.apps.digits.pages.read import ReadPage

    shown: list[object] = []
    begun, let_go = threading.Event(), threading.Event()

    class Slow(ReadPage):
        """A page whose reader takes as long as the test says, and that only notes what it would show."""

        def _seen(self, data: bytes) -> Sheet:
            begun.set()
            assert let_go.wait(10)
            return super()._seen(data)

        def _show(self, read: Sheet | None) -> None:
            shown.append(read)

        async def _explained(self) -> None:
            pass

    async def story() -> None:
        page = Slow(desk)
        page._sheet = SimpleNamespace(show=lambda picture: None)  # type: ignore[assignment]
        reading = asyncio.create_task(page._take(number_picture().read_bytes()))
        await asyncio.to_thread(begun.wait, 10)
        page._cleared()
        let_go.set()
        await reading
        assert shown == [None]
        await page._take(number_picture().read_bytes())

    asyncio.run(story())
    assert len(shown) == 2 and isinstance(shown[1], Sheet) and shown[1].number == NUMBER
