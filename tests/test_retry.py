"""A machine that refuses for a while costs an attempt, not a clip; one that goes on refusing ends
the run and blames no clip."""

import errno
import os
import signal

import pytest
from helpers.videos import FakeBackbone, clip_of, extractor, write_square

from action_gru.core.errors import (
    CacheError,
    MachineError,
    VideoError,
    is_exhausted,
    is_full,
    is_transient,
)
from action_gru.core.files import write_atomically
from action_gru.features import ExtractionReport
from action_gru.video import decoder_process, file


@pytest.fixture
def clips(tmp_path):
    return [clip_of(write_square(tmp_path / f"{i}.mp4", 12, seed=i)) for i in range(3)]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr("action_gru.features.pipeline.PAUSES_S", (0.0, 0.0))


def failing(times: int, error: BaseException, real):
    """`real`, but its first calls raise."""
    left = [times]

    def call(*arguments, **options):
        if left[0]:
            left[0] -= 1
            raise error
        return real(*arguments, **options)

    return call


PASSING = [
    OSError(errno.EMFILE, "Too many open files"),
    OSError(errno.EIO, "Input/output error"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
@pytest.mark.parametrize("where", ["decoder", "hash"])
def test_what_passes_costs_an_attempt_and_no_clip(tmp_path, clips, monkeypatch, error, where):
    work = extractor(tmp_path, workers=1)
    if where == "decoder":  # no decoding process can be started
        monkeypatch.setattr(file, "take_process", failing(2, error, file.take_process))
    else:
        name = "action_gru.features.extractor.content_sha256"
        from action_gru.core.files import file_sha256

        monkeypatch.setattr(name, failing(2, error, file_sha256))
    report = work.extract(clips)
    assert report.quarantined == {}
    assert (report.read, report.cached, report.retried, report.skipped) == (3, 0, 2, 0)
    quiet = extractor(tmp_path / "quiet", workers=1)
    expected = quiet.extract(clips)
    for clip in clips:
        for stream, entry in quiet.read(clip, expected).items():
            assert work.read(clip, report)[stream].values.tobytes() == entry.values.tobytes()


def test_an_attempt_that_broke_off_half_way_leaves_no_row_behind(tmp_path, clips):
    """Eleven of twelve frames came, and their features too, before the disk failed."""
    work = extractor(tmp_path, fps=10.0, workers=2)
    real, broken = work.decode, []

    def decode(job):
        for place, sample in enumerate(real(job)):
            if job.clip.name == "1.mp4" and place == 11 and len(broken) < 2:
                broken.append(place)
                raise OSError(errno.EIO, "Input/output error")
            yield sample

    work.decode = decode
    report = work.extract(clips)
    assert (report.quarantined, report.retried, broken) == ({}, 2, [11, 11])
    quiet = extractor(tmp_path / "quiet", fps=10.0, workers=1)
    expected = quiet.extract(clips)
    for stream, entry in quiet.read(clips[1], expected).items():
        found = work.read(clips[1], report)[stream]
        assert len(found.values) == 12
        assert found.values.tobytes() == entry.values.tobytes()


def test_a_machine_without_handles_ends_the_run_and_blames_no_clip(tmp_path, clips, monkeypatch):
    error = OSError(errno.EMFILE, "Too many open files")
    monkeypatch.setattr(file, "take_process", failing(99, error, file.take_process))
    with pytest.raises(
        MachineError,
        match=r"0\.mp4: not read in 3 attempts, and not for its own fault: .*Too many open files; "
        r"free what is named, or lower features\.workers, and run again",
    ) as raised:
        extractor(tmp_path, workers=1).extract(clips)
    assert raised.value.exit_code == 1
    monkeypatch.undo()
    assert extractor(tmp_path).extract(clips).quarantined == {}


def test_a_file_whose_disk_fails_is_left_out_with_a_reason_that_blames_the_disk(
    tmp_path, clips, monkeypatch
):
    from action_gru.core.files import file_sha256

    def broken(path):
        if path.name == "1.mp4":
            raise OSError(errno.EIO, "Input/output error")
        return file_sha256(path)

    monkeypatch.setattr("action_gru.features.extractor.content_sha256", broken)
    report = extractor(tmp_path).extract(clips)
    assert list(report.quarantined) == ["1.mp4"]
    assert (
        "not read in 3 attempts; the machine or the disk may be the reason, and not the clip"
        in (report.quarantined["1.mp4"])
    )
    assert "Input/output error" in report.quarantined["1.mp4"]
    assert (report.read, report.retried) == (2, 2)


def test_a_cache_that_cannot_be_read_ends_the_run_and_quarantines_nothing(
    tmp_path, clips, monkeypatch
):
    work = extractor(tmp_path)
    work.extract(clips)
    monkeypatch.setattr(
        type(work.cache.storage),
        "open",
        failing(99, PermissionError(13, "Permission denied"), None),
    )
    with pytest.raises(CacheError, match=r"cannot be read \(Permission denied\)"):
        extractor(tmp_path).extract(clips)
    monkeypatch.undo()
    assert extractor(tmp_path).extract(clips).cached == 3


def test_a_cache_that_fails_for_a_moment_costs_an_attempt(tmp_path, clips, monkeypatch):
    work = extractor(tmp_path, workers=1)
    work.extract(clips[:1])
    place = type(work.cache.storage)
    error = OSError(errno.EMFILE, "Too many open files")
    with monkeypatch.context() as patched:
        patched.setattr(place, "open", failing(1, error, place.open))
        patched.setattr(
            "action_gru.features.storage.write_atomically",
            failing(2, error, write_atomically),
        )
        report = extractor(tmp_path, workers=1).extract(clips)
    assert (report.cached, report.read, report.retried, report.quarantined) == (1, 2, 3, {})


def test_a_full_disk_is_told_at_once(tmp_path, clips, monkeypatch):
    attempts = []

    def full(*_: object) -> None:
        attempts.append(1)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("action_gru.features.storage.write_atomically", full)
    with pytest.raises(CacheError, match="No space left on device"):
        extractor(tmp_path, workers=1).extract(clips)
    assert len(attempts) == 1


def test_a_decoder_that_the_system_kills_is_tried_again(tmp_path, clips, monkeypatch):
    real, kills = decoder_process.DecoderProcess.begin, []

    def kill_at_1(self, do, work, name, limits):
        if name.endswith("1.mp4") and len(kills) < most:
            kills.append(1)
            os.kill(self._process.pid, signal.SIGKILL)
        return real(self, do, work, name, limits)

    monkeypatch.setattr(decoder_process.DecoderProcess, "begin", kill_at_1)
    most = 2
    report = extractor(tmp_path / "a").extract(clips)
    assert (report.quarantined, report.retried, len(kills)) == ({}, 2, 2)
    kills.clear()
    most = 3
    report = extractor(tmp_path / "b").extract(clips)
    assert (
        "was killed (SIGKILL), as the system does when memory runs out"
        in (report.quarantined["1.mp4"])
    )
    assert "not read in 3 attempts" in report.quarantined["1.mp4"]
    assert report.read == 2


def test_what_an_interrupted_run_did_not_come_to_is_counted(tmp_path, clips):
    class Broken(FakeBackbone):
        def __call__(self, images):
            if self.calls == 4:
                raise KeyboardInterrupt
            return super().__call__(images)

    report = ExtractionReport()
    with pytest.raises(KeyboardInterrupt):
        extractor(tmp_path, Broken(), workers=1).extract(clips, report=report)
    assert (report.clips, report.read, report.cached, report.skipped) == (3, 1, 0, 2)


class LikePyAVError(OSError):
    pass


def test_a_file_cannot_pass_for_the_machine():
    """FFmpeg says ENOMEM of a crafted header, and PyAV raises it as an OSError."""
    error = VideoError("a")
    error.__cause__ = LikePyAVError(errno.ENOMEM, "Cannot allocate memory")
    assert not is_transient(error)
    error.__cause__ = OSError(errno.ENOMEM, "Cannot allocate memory")
    assert is_transient(error)
    assert is_exhausted(error)
    assert not is_full(error)
    assert not is_transient(PermissionError(errno.EACCES, "Permission denied"))
    assert not is_exhausted(OSError(errno.EIO, "Input/output error"))
