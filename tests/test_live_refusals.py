import os
import time
import traceback

import pytest
from helpers.live_servers import (
    QUICK,
    MJPEGServer,
    Seen,
    eventually,
    live_threads,
    refusing_port,
    socket_server,
)

from action_gru.core.errors import VideoError
from action_gru.video import LiveSource
from action_gru.video.live_reader import Source, parse_source, why_no_camera


@pytest.mark.parametrize("scheme", ["http", "rtsp", "rtmp"])
def test_a_server_that_never_answers_is_given_up_in_time(scheme):
    began_s = time.monotonic()
    with socket_server() as port, pytest.raises(VideoError, match="timed out"):
        LiveSource(f"{scheme}://127.0.0.1:{port}/1", on_frame=Seen(), **QUICK).start()
    assert 1.0 < time.monotonic() - began_s < 10
    assert eventually(lambda: not live_threads())


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_noise_from_a_server_is_no_video(scheme):
    with (
        socket_server(noise=True) as port,
        pytest.raises(VideoError, match=r"sends no video|no picture within"),
    ):
        LiveSource(f"{scheme}://127.0.0.1:{port}/1", on_frame=Seen(), **QUICK).start()


@pytest.mark.parametrize("scheme", ["http", "https", "rtsp", "rtmp"])
def test_a_refused_connection_is_an_error_at_once(scheme):
    address = f"{scheme}://127.0.0.1:{refusing_port()}/1"
    with pytest.raises(VideoError, match=r"refused: no server listens.*; start it"):
        LiveSource(address, on_frame=Seen(), **QUICK).start()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://no-such-host.invalid/cam", "host 'no-such-host.invalid' not found; check"),
        ("ftp://host/file", "ftp://; give one of rtsp://"),
        ("rtsp://:554/1", "no host in the address"),
        ("rtsp://host:many/1", "port is not valid; in a user name"),
        ("", "names no source; give a camera"),
        ("a\0b", "names no source"),
        ("\udcff.mp4", "no valid text; rename"),
        ("none.mp4", r"none\.mp4: no such video file"),
        ("99999999999999999999", "no such video file"),
    ],
)
def test_an_address_that_leads_nowhere_is_named_with_the_mend(address, said):
    with pytest.raises(VideoError, match=said):
        LiveSource(address, on_frame=Seen(), open_timeout_s=10).start()


def test_what_a_server_answers_is_passed_on():
    with MJPEGServer() as server:
        base = server.url.removesuffix("/cam")
        with pytest.raises(VideoError, match=r"'404 Not Found'; check the address's path"):
            LiveSource(f"{base}/typo", on_frame=Seen(), **QUICK).start()
        with pytest.raises(VideoError, match=r"'401 Unauthorized'; check user name"):
            LiveSource(f"{base}/locked", on_frame=Seen(), **QUICK).start()
    denied = b"RTSP/1.0 454 Session Not Found\r\n\r\n"
    with socket_server(denied) as port, pytest.raises(VideoError, match="'454 Session Not Found'"):
        LiveSource(f"rtsp://127.0.0.1:{port}/1", on_frame=Seen(), **QUICK).start()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("rtsp://me:hush@host:554/1", "rtsp://host:554/1"),
        ("rtsp://me:hu/s@h@host/1", "rtsp://host/1"),
        ("rtsp://me:hu?s#h@host/1", "rtsp://host/1"),
        ("http://host/cam?user=me&password=hush", "http://host/cam?…"),
        ("udp://@239.0.0.1:1234", "udp://239.0.0.1:1234"),
    ],
)
def test_a_password_never_shows(address, name, capfd):
    with pytest.raises(VideoError) as caught:  # noqa: PT012
        source = parse_source(address)
        assert (source.name, "hu" in repr(source)) == (name, False)
        live = LiveSource(
            address.replace("host", "127.0.0.1").replace(":554", f":{refusing_port()}"),
            on_frame=Seen(),
            open_timeout_s=0.5,
            read_timeout_s=0.5,
        )
        assert "hu" not in repr(live.status) + live.name
        live.start()
    printed = "".join(traceback.format_exception(caught.value))
    assert "me:" not in str(caught.value)
    assert "hush@" not in printed
    assert "password=" not in printed
    assert "hu" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "name", ["cam1:12:30.mp4", "./cam1:12:30.mp4", "-3abc.mp4", "C:\\cam\\1.mp4", "rtsp:1.mp4"]
)
def test_a_name_with_colons_dashes_or_backslashes_is_a_file(name):
    assert (parse_source(name).kind, parse_source(name).address) == ("file", name)


def test_a_missing_camera_says_which_are_there(capfd):
    with pytest.raises(VideoError) as caught:
        LiveSource("63", on_frame=Seen()).start()
    assert str(caught.value).startswith("camera 63 cannot be opened; ")
    assert str(caught.value).endswith(
        "plug one in, check that no other program uses it, or give a file or rtsp:// address"
    )
    with pytest.raises(VideoError, match="camera /dev/video63 cannot be opened"):
        LiveSource("/dev/video63", on_frame=Seen()).start()
    assert capfd.readouterr().err == ""


def test_a_camera_that_may_not_be_used_says_so(tmp_path, monkeypatch):
    (tmp_path / "video0").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    camera = Source("camera", str(tmp_path / "video0"), "video0")
    assert "video0; add your user to the group 'video'" in why_no_camera(camera)
