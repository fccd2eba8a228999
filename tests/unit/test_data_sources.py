"""Readers of files and folders, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest

from autocompress.data.audio import read_audio
from autocompress.data.columns import assign_roles
from autocompress.data.image import read_image
from autocompress.data.rows import content_digest
from autocompress.data.source import read_source
from autocompress.errors import DataError, EnvironmentProblem
from autocompress.spec import DataSpec
from autocompress.tasks.base import Role

TEXT = Role("text", ("text", "sentence"))
LABEL = Role("label", ("label", "labels"))
IMAGE = Role("image", ("image", "images"))
AUDIO = Role("audio", ("audio", "file"))


def read(path, *roles, **columns):
    spec = DataSpec(path=str(path), columns=columns)
    return assign_roles(read_source(str(path), spec), roles, columns)


def test_the_same_table_reads_alike_from_csv_tsv_and_json_lines(tmp_path):
    rows = [("a, b", "1"), ("c\u2028d", "0")]
    (tmp_path / "a.csv").write_text('Sentence,label\n"a, b",1\n"c\u2028d",0\n', encoding="utf-8")
    (tmp_path / "a.tsv").write_text("Sentence\tlabel\na, b\t1\nc\u2028d\t0\n", encoding="utf-8")
    lines = "".join(json.dumps({"Sentence": text, "label": label}) + "\n" for text, label in rows)
    (tmp_path / "a.jsonl").write_text(lines, encoding="utf-8")
    for name in ("a.csv", "a.tsv", "a.jsonl"):
        table = read(tmp_path / name, TEXT, LABEL)
        assert list(zip(table.columns["text"], table.columns["label"], strict=True)) == rows


def test_quotation_marks_in_a_tsv_are_text(tmp_path):
    (tmp_path / "a.tsv").write_text('text\tlabel\n"Half a quote\t1\n')
    assert read(tmp_path / "a.tsv", TEXT, LABEL).columns["text"] == ['"Half a quote']


def test_parquet_reads_as_columns(tmp_path):
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": ["a", "b"], "label": [0, 1]}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", TEXT, LABEL).columns["label"] == [0, 1]


def test_npz_columns_are_found_by_ending_when_only_one_fits(tmp_path):
    np.savez(tmp_path / "a.npz", test_images=np.zeros((3, 4, 4), np.uint8), test_labels=np.arange(3))
    assert len(read(tmp_path / "a.npz", IMAGE, LABEL)) == 3


def test_npz_with_two_sets_asks_which(tmp_path):
    arrays = {"test_images": np.zeros((3, 4, 4)), "train_images": np.zeros((3, 4, 4)), "labels": np.arange(3)}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=r"several columns could be the image.*data\.columns\.image"):
        read(tmp_path / "a.npz", IMAGE, LABEL)
    assert len(read(tmp_path / "a.npz", IMAGE, LABEL, image="test_images")) == 3


def test_pickled_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="pickled objects"):
        read(tmp_path / "a.npz", IMAGE)


def test_plain_text_is_cut_at_blank_lines_or_else_at_lines(tmp_path):
    (tmp_path / "blocks.txt").write_text("one\ntwo\n\n\nthree\n")
    (tmp_path / "lines.txt").write_text("one\ntwo\n")
    assert read(tmp_path / "blocks.txt", TEXT).columns["text"] == ["one\ntwo", "three"]
    assert read(tmp_path / "lines.txt", TEXT).columns["text"] == ["one", "two"]


def test_images_by_class_folder(tmp_path):
    from PIL import Image

    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((5, 6), 7, np.uint8)).save(tmp_path / name / "a.png")
    rows = read(tmp_path, IMAGE, LABEL)
    assert rows.columns["label"] == ["cat", "dog"]
    image = read_image(rows.columns["image"][0], "x")
    assert image.mode == "RGB"
    assert np.asarray(image)[0, 0].tolist() == [7, 7, 7]


def test_audio_folder_with_a_transcript_table(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.zeros(800, np.float32), 8000)
    (tmp_path / "transcripts.csv").write_text("file,text\na.wav,hello\n")
    rows = read(tmp_path, AUDIO, TEXT)
    assert rows.columns["audio"] == [tmp_path / "a.wav"]
    assert read_audio(rows.columns["audio"][0], 16000, "x").shape == (1600,)


def test_resampling_keeps_a_tone(tmp_path):
    import soundfile

    time_8k, time_16k = np.arange(8000) / 8000, np.arange(16000) / 16000
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 440 * time_8k), 8000)
    waveform = read_audio(tmp_path / "a.wav", 16000, "x")
    np.testing.assert_allclose(waveform[500:-500], 0.5 * np.sin(2 * np.pi * 440 * time_16k)[500:-500], atol=0.01)


def test_unreadable_audio_and_images_are_named(tmp_path):
    (tmp_path / "a.flac").write_bytes(b"no audio")
    with pytest.raises(DataError, match=r"a\.flac: unreadable audio"):
        read_audio(tmp_path / "a.flac", 16000, "x")
    with pytest.raises(DataError, match=r"a\.flac: unreadable image"):
        read_image(tmp_path / "a.flac", "x")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"text,label\n", "there are no rows"),
        ("a.csv", b"text,label\na\n", r"a\.csv:2: 1 cells, but the header names 2"),
        ("a.csv", b"text,text\na,b\n", "'text' stands twice"),
        ("a.csv", b"text,label\na,1\n ,0\n", r"the text is empty in 1 of 2 rows \(row 2\)"),
        ("a.csv", b"text,lable\na,1\n", "Did you mean 'lable'.*Columns found: 'text', 'lable'"),
        ("a.csv", b"text,label\n\xff\xfe,1\n", "not UTF-8"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n{"text": "b"}\n', "its keys differ from the first line's: label"),
        ("a.jsonl", b"[1]\n", "each line must be an object"),
        ("a.jsonl", b"{\n", r"a\.jsonl:1: not a line of JSON"),
        ("a.npz", b"PK not a zip", "not a readable NPZ"),
        ("a.parquet", b"nothing", "not a readable Parquet"),
        ("a.docx", b"x", r"files named \*\.docx cannot be read"),
    ],
)
def test_each_kind_of_damage_is_told_in_one_sentence(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / name, TEXT, LABEL)


def test_a_wrong_mapping_names_the_columns_found(tmp_path):
    (tmp_path / "a.csv").write_text("body,label\na,1\n")
    with pytest.raises(DataError, match=r"data\.columns\.text: there is no column 'boddy'.*Did you mean 'body'"):
        read(tmp_path / "a.csv", TEXT, LABEL, text="boddy")
    with pytest.raises(DataError, match="the task has no role 'txt'"):
        read(tmp_path / "a.csv", TEXT, LABEL, txt="body")


def test_a_missing_file_in_a_table_is_named_with_its_row(tmp_path):
    (tmp_path / "a.csv").write_text("file,text\nnone.wav,hello\n")
    with pytest.raises(DataError, match=r"the audio of row 1 does not exist: .*none\.wav"):
        read(tmp_path / "a.csv", AUDIO, TEXT)


@pytest.mark.parametrize("path", ["missing.csv", "/missing/folder", "./missing", "a/b/c"])
def test_a_path_that_is_no_hub_id_and_does_not_exist_is_told_so(path):
    with pytest.raises(DataError, match="there is no such file or folder"):
        read_source(path, DataSpec(path=path))


def test_an_unknown_hub_dataset_offline_is_refused_at_once(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises((DataError, EnvironmentProblem), match="nobody/nothing"):
        read_source("nobody/nothing", DataSpec(path="nobody/nothing", split="test"))


def test_a_files_content_counts_in_a_digest_and_its_name_does_not(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"1")
    assert content_digest(tmp_path / "a") == content_digest(tmp_path / "b")
    (tmp_path / "b").write_bytes(b"2")
    assert content_digest(tmp_path / "a") != content_digest(tmp_path / "b")
    assert content_digest("1") != content_digest(1)
