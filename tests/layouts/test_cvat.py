"""CVAT for images: shapes, their order, labels, subsets, and mistakes that are named."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from dsbuild.errors import LayoutError
from dsbuild.layouts import cvat_file
from dsbuild.layouts.cvat import Cvat
from tests.support import fakes
from tests.support.objects import planes

SQUARE = "0,0;10,0;10,10;0,10"
META = "<meta><task><labels>{}</labels></task></meta>"
LABELS = META.format("".join(f"<label><name>{name}</name></label>" for name in ("cat", "dog")))


def document(*shapes, image='id="0" name="a.jpg" width="30" height="20"', meta=LABELS):
    return f"<annotations>{meta}<image {image}>{''.join(shapes)}</image></annotations>"


def polygon(label="cat", points=SQUARE, z_order="0"):
    return f'<polygon label="{label}" points="{points}" z_order="{z_order}"/>'


def mask(rle="0, 6", left="2", top="3", width="3", height="2", label="cat"):
    box = f'left="{left}" top="{top}" width="{width}" height="{height}"'
    return f'<mask label="{label}" rle="{rle}" {box} z_order="0"/>'


def write(folder, text, size=(30, 20)):
    pathlib.Path(folder, "annotations.xml").write_text(text)
    Image.new("RGB", size).save(pathlib.Path(folder, "a.jpg"))
    return str(folder)


def plane_of(folder, *shapes, **options):
    root = write(folder, document(*shapes))
    layout = Cvat(**options).bind(root)
    (sample,) = layout.samples(root, "train")
    return layout.plane(sample.label.data, str(sample.label), (20, 30))


def test_a_mask_runs_along_the_rows_of_its_box(tmp_path):
    plane = plane_of(tmp_path, mask(rle="1, 2, 2, 1"))
    assert np.argwhere(plane).tolist() == [[3, 3], [3, 4], [4, 4]]


def test_the_higher_z_order_is_on_top_then_the_later_one(tmp_path):
    shapes = polygon("dog", z_order="1"), polygon("cat")
    assert plane_of(tmp_path, *shapes)[5, 5] == 2
    assert plane_of(tmp_path, polygon("dog"), polygon("cat"))[5, 5] == 1
    assert plane_of(tmp_path, polygon("dog", z_order="-1"), polygon("cat"))[5, 5] == 1
    assert plane_of(tmp_path, polygon("dog"), polygon("cat"), overlap="ignore")[5, 5] == 255


def test_a_label_named_background_is_class_0_wherever_it_is(tmp_path):
    labels = "".join(f"<label><name>{name}</name></label>" for name in ("cat", "background"))
    root = write(tmp_path, document(polygon("background"), meta=META.format(labels)))
    layout = Cvat().bind(root)
    assert layout.classes == ("background", "cat")
    (sample,) = layout.samples(root, "train")
    assert not layout.plane(sample.label.data, "", (20, 30)).any()


def test_names_of_attributes_and_of_points_in_skeletons_are_no_labels(tmp_path):
    label = "<label><name>cat</name><attributes><attribute><name>age</name></attribute>"
    label += "</attributes></label><label><name>knee</name><parent>leg</parent></label>"
    assert cvat_file.labels(
        f"{write(tmp_path, document(meta=META.format(label)))}/annotations.xml"
    ) == ("cat",)


def test_shapes_without_a_mask_and_pictures_that_are_not_named_are_reported(tmp_path, run, out):
    points = f'label="cat" points="{SQUARE}" z_order="0"'
    root = write(tmp_path, document(f"<polyline {points}/>", f"<polyline {points}/>", "<box/>"))
    Image.new("RGB", (9, 9)).save(tmp_path / "b.jpg")
    result = run("cvat", root, out)
    said = " ".join(result.stderr.split())
    assert "found shapes of the type polyline (2)" in said
    assert "shapes of the type box (1), which give no mask" in said
    assert "images without a polygon or mask (1), such as a.jpg: background" in said
    assert "b.jpg: annotations.xml does not name it" in said


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (polygon("cta"), "polygon 1 (cta): the classes do not have this label"),
        (polygon("Cat"), "did you mean cat?"),
        (polygon(points="0,0;1,1"), "found a polygon of 2 points; expected 3 or more"),
        (polygon(points="0,0;1;2,2"), "expected x,y;x,y;... in pixels"),
        (polygon(points=""), "expected x,y;x,y;... in pixels"),
        (polygon(points="0,0;1,nan;2,2"), "not a list of numbers"),
        (polygon(z_order="top"), "found z_order 'top'; expected a whole number"),
        (mask(rle="0, 7"), "found counts of 7 pixels in a run-length encoding; expected 6"),
        (mask(rle=""), "found '' as a count of rle"),
        (mask(rle="0, 6", left="28"), "not inside the image of 30 x 20"),
        (mask(left="-1"), "found '-1' as left; expected a whole number"),
        (mask(width="2.5"), "found '2.5' as width"),
        (mask(width="0", rle="0"), "gives no pixel"),
    ],
)
def test_mistakes_in_shapes_are_named_and_can_be_skipped(shape, said, tmp_path, run, out):
    good = '</image><image id="1" name="b.jpg" width="30" height="20">' + polygon()
    root = write(tmp_path, document(shape, good))
    Image.new("RGB", (30, 20), "red").save(tmp_path / "b.jpg")
    result = run("cvat", root, out)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert "annotations.xml#0" in result.stderr
    assert run("cvat", root, out, "--on-error", "skip").exit_code == 0
    assert list(planes(out)) == ["b"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "found damaged XML: no element found"),
        ("<annotations>", "found damaged XML: no element found (at line 1)"),
        (document(polygon())[:-20], "found damaged XML"),
        ("<annotation/>", "found <annotation>; expected <annotations>"),
        (f"<annotations>{LABELS}<track/></annotations>", "found tracks of a video"),
        ("<annotations><version>1.1</version></annotations>", "found no labels in its meta"),
        (document(image='id="0" name="a.jpg"'), "the image a.jpg without width and height"),
        (document(image='name="../a.jpg" width="3" height="3"'), "expected a path below images"),
        (document(image='width="3" height="3"'), "found an image named ''"),
        (document(meta=META.format("<label/>")), "found a label without a name"),
        (document(image='name="c.jpg" width="3" height="3"'), "found no image c.jpg in images/def"),
    ],
)
def test_files_of_another_form_are_named(text, said, tmp_path, run, out):
    result = run("cvat", write(tmp_path, text), out)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not pathlib.Path(out).exists()


def test_a_document_type_is_refused_before_its_entities_grow(tmp_path):
    entities = "".join(f'<!ENTITY e{i + 1} "{f"&e{i};" * 10}">' for i in range(12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e0 "x">{entities}]>'
    root = write(tmp_path, bomb + document(polygon("&e12;")))
    with pytest.raises(LayoutError, match="found a document type"):
        Cvat().bind(root)


def test_an_image_of_another_size_is_named(tmp_path, run, out):
    result = run("cvat", write(tmp_path, document(polygon()), size=(20, 30)), out)
    assert result.exit_code == 2
    assert "found a label of 30 x 20 pixels" in " ".join(result.stderr.split())


def test_a_single_subset_is_divided_and_several_are_splits(tmp_path):
    root = fakes.cvat(tmp_path)
    assert Cvat().splits(root) == ("train", "val")
    path = pathlib.Path(root, "annotations.xml")
    path.write_text(path.read_text().replace("Validation", "dusk").replace("Train", "night 1"))
    for old, new in (("Validation", "dusk"), ("Train", "night 1")):
        pathlib.Path(root, "images", old).rename(f"{root}/images/{new}")
    assert Cvat().splits(root) == ("dusk", "night_1")
    one = write(tmp_path, document(polygon()))
    assert Cvat(val_fraction=0.99).splits(one) == ("val",)


def test_images_are_streamed_one_at_a_time(tmp_path, monkeypatch):
    root = fakes.cvat(tmp_path)
    whole = list(cvat_file.grouped(f"{root}/annotations.xml").images)
    monkeypatch.setattr(cvat_file, "_CHUNK", 7)
    monkeypatch.setattr(cvat_file, "_grouped", cvat_file._grouped.__wrapped__)
    assert list(cvat_file.grouped(f"{root}/annotations.xml").images) == whole
    assert len(whole) == 12


def test_a_video_is_no_export_of_images(tmp_path):
    write(tmp_path, f"<annotations>{LABELS}<track id='0'></track></annotations>")
    assert not Cvat.recognise(str(tmp_path), {})
    assert "tracks of a video" in Cvat.recognise(str(tmp_path), {}).text
