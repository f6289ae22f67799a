"""A site's file changed from the page: what was asked for changes, everything else stays as it was written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.apps.vision.rules.places import Line, Zone
from edgekit.apps.vision.rules.read import parse_site
from edgekit.apps.vision.rules.rewrite import rewritten
from edgekit.apps.vision.rules.settings import Camera, Rule, written
from edgekit.apps.vision.watching.site_file import SiteFile
from edgekit.core.errors import EdgekitError, InputError, NotFound

BLOCK = """\
# the yard of number 7
detector: yolox.rpi5.int8   # the small one

cameras:
  yard:
    source: "synthetic:320x180"  # no camera yet
    detect:
      fps: 5   # the Pi does no more
    zones:
      # where parcels are left
      door: {points: [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0]], inertia: 2}
      lawn:   # in summer only
        points:
          - [0.5, 0.5]
          - [1, 0.5]
          - [1, 1]
    rules:
      # by night
      - {name: visitor, zone: door, severity: high}  # rings
      - name: mower
        zone: lawn
  # the second one
  gate: {source: 'synthetic:64x48', lines: {bar: {start: [0.5, 0], end: [0.5, 1]}}}
"""


def camera(text: str, name: str = "yard") -> Camera:
    return next(camera for camera in parse_site(text, "site.yaml").cameras if camera.name == name)


def changed_lines(before: str, after: str) -> set[str]:
    return set(after.splitlines()) - set(before.splitlines())


def test_a_number_changes_and_its_comment_stays() -> None:
    yard = camera(BLOCK)
    after = rewritten(BLOCK, "site.yaml", replace(yard, detect=msgspec.structs.replace(yard.detect, fps=8)))
    assert changed_lines(BLOCK, after) == {"      fps: 8   # the Pi does no more"}


def test_a_setting_that_was_not_written_is_added_beside_those_that_were() -> None:
    yard = camera(BLOCK)
    after = rewritten(BLOCK, "site.yaml", replace(yard, detect=msgspec.structs.replace(yard.detect, min_score=0.55)))
    assert changed_lines(BLOCK, after) == {"      min_score: 0.55"}


def test_a_zone_moves_another_comes_and_one_goes_and_comments_stay() -> None:
    yard, corner = camera(BLOCK), Zone(points=((0, 0), (0.1, 0), (0.1, 0.25)))
    moved = msgspec.structs.replace(yard.zones["door"], points=((0.05, 0.0), (0.5, 0.0), (0.5, 1.0)))
    rules = tuple(rule for rule in yard.rules if rule.zone != "lawn")
    after = rewritten(BLOCK, "site.yaml", replace(yard, zones={"door": moved, "corner": corner}, rules=rules))
    assert camera(after).zones == {"door": moved, "corner": corner}
    for kept in ("# where parcels are left", "# the yard of number 7", "# no camera yet", "# the second one"):
        assert kept in after
    assert "inertia: 2" in after
    assert "lawn" not in after


def test_a_rule_is_switched_off_within_its_own_line() -> None:
    yard = camera(BLOCK)
    off = (msgspec.structs.replace(yard.rules[0], enabled=False), yard.rules[1])
    after = rewritten(BLOCK, "site.yaml", replace(yard, rules=off))
    assert changed_lines(BLOCK, after) == {"      - {name: visitor, zone: door, severity: high, enabled: false}  # rings"}
    on = rewritten(after, "site.yaml", yard)
    assert camera(on) == yard


def test_a_camera_written_on_one_line_stays_on_one_line() -> None:
    gate = camera(BLOCK, "gate")
    lines = {"bar": gate.lines["bar"], "side": Line(start=(0.0, 0.2), end=(0.3, 0.2))}
    after = rewritten(BLOCK, "site.yaml", replace(gate, lines=lines, zones={"all": Zone(points=((0, 0), (1, 0), (1, 1)))}))
    assert len(after.splitlines()) == len(BLOCK.splitlines())
    assert camera(after, "gate").lines == lines
    assert rewritten(after, "site.yaml", gate).count("side") == 0


def test_the_default_rules_are_written_out_when_one_is_switched_off() -> None:
    text = "cameras:\n  one:\n    source: synthetic:64x48\n"
    one = camera(text, "one")
    rules = (msgspec.structs.replace(written(one)[0], enabled=False), *written(one)[1:])
    assert camera(rewritten(text, "site.yaml", replace(one, rules=rules)), "one").rules == rules


def test_what_the_reader_would_refuse_is_not_written() -> None:
    yard = camera(BLOCK)
    with pytest.raises(InputError, match=r"line \d+, column \d+: .*names the zone 'door'"):
        rewritten(BLOCK, "site.yaml", replace(yard, zones={"lawn": yard.zones["lawn"]}))
    with pytest.raises(NotFound, match="no camera 'cellar'"):
        rewritten(BLOCK, "site.yaml", replace(yard, name="cellar"))


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,12}", fullmatch=True)
SHARES = st.floats(0, 1).map(lambda share: round(share, 4))
POINTS = st.tuples(SHARES, SHARES)
ZONES = st.dictionaries(
    NAMES, st.builds(Zone, points=st.lists(POINTS, min_size=3, max_size=6).map(tuple), inertia=st.integers(1, 9)), max_size=4
)
RULES = st.lists(
    st.builds(Rule, name=st.text(min_size=1, max_size=20), count=st.integers(1, 5), enabled=st.booleans(), dwell_s=SHARES),
    max_size=4,
).map(tuple)


@settings(max_examples=40)
@given(zones=ZONES, rules=RULES, base=st.sampled_from([BLOCK, "cameras: {yard: {source: 'synthetic:64x48'}}\n"]))
def test_whatever_is_asked_for_is_what_the_file_then_says(zones: dict[str, Zone], rules: tuple[Rule, ...], base: str) -> None:
    wanted = replace(camera(base), zones=zones, rules=rules)
    assert camera(rewritten(base, "site.yaml", wanted)) == wanted


def test_a_broken_file_is_replaced_by_what_it_last_said_unless_one_is_strict(tmp_path: Path) -> None:
    path, good = tmp_path / "site.yaml", tmp_path / "kept" / "site.good.yaml"
    path.write_text(BLOCK)
    assert SiteFile(path, good).open()[1] is None
    path.write_text(BLOCK.replace("fps: 5", "fps: -5"))
    site, problem = SiteFile(path, good).open()
    assert site == parse_site(BLOCK, "site.yaml")
    assert problem is not None
    assert "line 8, column 7" in problem.message
    with pytest.raises(InputError, match="line 8"):
        SiteFile(path, good).open(strict=True)
    assert good.stat().st_mode & 0o777 == 0o600


def test_settings_without_a_file_begin_one_that_only_its_owner_reads(tmp_path: Path) -> None:
    file = SiteFile(
        tmp_path / "site.yaml", tmp_path / "good.yaml", begins='cameras:\n  camera:\n    source: "synthetic:64x48"\n'
    )
    one = file.read().cameras[0]
    assert not file.path.exists()
    file.write(replace(one, detect=msgspec.structs.replace(one.detect, fps=3)))
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.read().cameras[0].detect.fps == 3
    assert not file.changed()
    file.path.write_text(file.path.read_text() + "# by hand\n")
    assert file.changed()


def test_a_change_does_not_overwrite_what_somebody_wrote_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(BLOCK)
    file = SiteFile(path, tmp_path / "good.yaml")
    yard = next(camera for camera in file.read().cameras if camera.name == "yard")
    path.write_text(BLOCK.replace("the yard of number 7", "the yard of number 9"))
    file.write(replace(yard, detect=msgspec.structs.replace(yard.detect, fps=9)))
    assert "number 9" in path.read_text()
    path.write_text("cameras: [")
    with pytest.raises(EdgekitError, match="not YAML"):
        file.write(yard)
    assert path.read_text() == "cameras: ["
