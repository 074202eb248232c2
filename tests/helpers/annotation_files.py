"""The same annotations as each tool writes them, by hand after its documentation.

Of a.mp4 (4 seconds, 10 frames a second): walk 0.5 to 2, 読む é 1 to 3 (they overlap), run 3 to 9
(past the end), late 7 to 8 (wholly past the end) and, where a form can hold it, jump at 2.5 for no
time. Of gone.mp4, which is not there: walk 0 to 1. The copy S1_fall_13.mp4 stands for a.mp4 in
GMDCSA24, whose files have such names.
"""

from dataclasses import dataclass

ZERO, CUT, PAST = "lasts no time", "is cut to the end", "lies past the end"


@dataclass(frozen=True)
class Example:
    """files: name -> text. notes: which sentences are told."""

    form: str
    files: dict[str, str]
    notes: tuple[str, ...] = (ZERO, CUT, PAST)


def _elan(video: str, *events: tuple[str, int, int]) -> str:
    slots, tiers = "", ""
    for number, (label, start_ms, end_ms) in enumerate(events):
        ids = f"ts{2 * number}", f"ts{2 * number + 1}"
        for slot, time_ms in zip(ids, (start_ms, end_ms), strict=True):
            slots += f'<TIME_SLOT TIME_SLOT_ID="{slot}" TIME_VALUE="{time_ms}"/>'
        tiers += (
            f'<TIER TIER_ID="tier {number}" LINGUISTIC_TYPE_REF="default-lt"><ANNOTATION>'
            f'<ALIGNABLE_ANNOTATION ANNOTATION_ID="a{number}" TIME_SLOT_REF1="{ids[0]}" '
            f'TIME_SLOT_REF2="{ids[1]}"><ANNOTATION_VALUE>{label}</ANNOTATION_VALUE>'
            "</ALIGNABLE_ANNOTATION></ANNOTATION></TIER>"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ANNOTATION_DOCUMENT AUTHOR="" FORMAT="3.0">'
        '<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"><MEDIA_DESCRIPTOR '
        f'MEDIA_URL="file:///C:/my%20videos/{video}" MIME_TYPE="video/mp4"/></HEADER>'
        f"<TIME_ORDER>{slots}</TIME_ORDER>{tiers}</ANNOTATION_DOCUMENT>"
    )


def _cvat(video: str, *tracks: tuple[str, int, int]) -> str:
    """Each track is visible from its first frame up to, but without, its end."""
    shapes = "".join(
        f'<track id="{number}" label="{label}" source="manual">'
        f'<box frame="{first}" outside="0" occluded="0" keyframe="1" xtl="1" ytl="1" xbr="9" '
        f'ybr="9"/><box frame="{after - 1}" outside="0" occluded="0" keyframe="0" xtl="1" ytl="1" '
        f'xbr="9" ybr="9"/><box frame="{after}" outside="1" occluded="0" keyframe="1" xtl="1" '
        'ytl="1" xbr="9" ybr="9"/></track>'
        for number, (label, first, after) in enumerate(tracks)
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version><meta><task>'
        f"<id>5</id><name>my task</name><mode>interpolation</mode><source>{video}</source></task>"
        f"</meta>{shapes}</annotations>"
    )


_VIA_ATTRIBUTES = (
    '"1": {"aname": "Activity", "anchor_id": "FILE1_Z2_XY0", "type": 4, "desc": "", "options": '
    '{"1": "walk", "2": "読む é", "3": "run"}, "default_option_id": ""}, '
    '"2": {"aname": "Other", "anchor_id": "FILE1_Z2_XY0", "type": 1, "desc": "", "options": {}}'
)
_LABEL_STUDIO_RANGES = (
    '{"ranges": [{"start": 6, "end": 20}], "timelinelabels": ["walk"]}',
    '{"ranges": [{"start": 11, "end": 30}], "timelinelabels": ["読む é"]}',
    '{"ranges": [{"start": 31, "end": 90}], "timelinelabels": ["run"]}',
    '{"ranges": [{"start": 71, "end": 80}], "timelinelabels": ["late"]}',
)
_GONE_RANGE = '{"ranges": [{"start": 1, "end": 10}], "timelinelabels": ["walk"]}'


def _label_studio_task(number: int, video: str, *values: str) -> str:
    results = ", ".join(
        f'{{"value": {value}, "id": "r{index}", "from_name": "timelineLabels", '
        '"to_name": "video", "type": "timelinelabels", "origin": "manual"}'
        for index, value in enumerate(values)
    )
    cancelled = '{"id": 9, "was_cancelled": true, "result": [{"value": {"ranges": []}}]}'
    return (
        f'{{"id": {number}, "data": {{"video": "{video}"}}, "annotations": [{cancelled}, '
        f'{{"id": 1, "was_cancelled": false, "result": [{results}]}}], "predictions": []}}'
    )


def _label_studio_row(number: int, video: str, *values: str) -> str:
    cell = f"[{', '.join(values)}]".replace('"', '""')
    return f'{number},1,2024-01-02T03:04:05Z,{number},12.5,{video},"{cell}"\n'


EXAMPLES = (
    Example(
        "elan",
        {
            "a.eaf": _elan(
                "A.MP4", ("walk", 500, 2000), ("読む é", 1000, 3000), ("run", 3000, 9000),
                ("late", 7000, 8000), ("jump", 2500, 2500),
            ),
            "b.eaf": _elan("gone.mp4", ("walk", 0, 1000)),
        },
    ),
    Example(
        "cvat",
        {
            "a.xml": _cvat(
                "a.mp4", ("walk", 5, 20), ("読む é", 10, 30), ("run", 30, 90), ("late", 70, 80)
            ),
            "b.xml": _cvat("gone.mp4", ("walk", 0, 10)),
        },
        (CUT, PAST),
    ),
    Example(
        "via",
        {
            "project.json": '{"project": {"pid": "x", "vid_list": ["1", "2"]}, "config": {}, '
            f'"attribute": {{{_VIA_ATTRIBUTES}}}, "file": {{'
            '"1": {"fid": "1", "fname": "a.mp4", "type": 4, "loc": 1, "src": ""}, '
            '"2": {"fid": "2", "fname": "gone.mp4", "type": 4, "loc": 2, "src": "https://x/g"}}, '
            '"metadata": {'
            '"1_a": {"vid": "1", "flg": 0, "z": [0.5, 2.0], "xy": [], "av": {"1": "1"}}, '
            '"1_b": {"vid": "1", "flg": 0, "z": [1, 3], "xy": [], "av": {"1": "2"}}, '
            '"1_c": {"vid": "1", "flg": 0, "z": [3, 9.0], "xy": [], "av": {"1": "3"}}, '
            '"1_d": {"vid": "1", "flg": 0, "z": [7, 8], "xy": [], "av": {"2": "late"}}, '
            '"1_e": {"vid": "1", "flg": 0, "z": [2.5, 2.5], "xy": [], "av": {"2": "jump"}}, '
            '"1_f": {"vid": "1", "flg": 1, "z": [0, 1], "xy": [], "av": {"1": "1"}}, '
            '"2_a": {"vid": "2", "flg": 0, "z": [0, 1], "xy": [], "av": {"1": "1"}}}, '
            '"view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": ["2"]}}}'
        },
    ),
    Example(
        "activitynet",
        {
            "v1-3.json": '{"version": "VERSION 1.3", "taxonomy": [], "database": {"a": '
            '{"duration": 4.0, "subset": "training", "url": "https://x", "annotations": ['
            '{"segment": [0.5, 2.0], "label": "walk"}, {"segment": [1, 3], "label": "読む é"}, '
            '{"segment": [3.0, 9.0], "label": "run"}, {"segment": [7, 8], "label": "late"}, '
            '{"segment": [2.5, 2.5], "label": "jump"}]}, "gone": {"duration": 1.0, "annotations": '
            '[{"segment": [0, 1], "label": "walk"}]}}}'
        },
    ),
    Example(
        "charades",
        {
            "train.csv": "id,subject,scene,quality,actions,length\n"
            "a,HR43,Kitchen,6,walk 0.50 2.00;読む é 1.00 3.00;run 3.00 9.00;late 7.00 8.00;"
            "jump 2.50 2.50,4.00\ngone,AH2E,Hall,7,walk 0.00 1.00,1.0\n"
        },
    ),
    Example(
        "boris",
        {
            "aggregated.tsv": "Observation id\tTime offset (s)\tMedia file\tSubject\tBehavior\t"
            "Behavior type\tStart (s)\tStop (s)\tDuration (s)\n"
            + "".join(
                f"obs\t10\t{video}\tNo focal subject\t{label}\t{kind}\t{start}\t{end}\tNA\n"
                for video, label, kind, start, end in (
                    ("/data/v/a.mp4", "walk", "STATE", "10,5", "12,0"),
                    ("/data/v/a.mp4", "読む é", "STATE", "11", "13"),
                    ("/data/v/a.mp4", "run", "STATE", "13", "19"),
                    ("/data/v/a.mp4", "late", "STATE", "17", "18"),
                    ("/data/v/a.mp4", "jump", "POINT", "12,5", "NA"),
                    ("/data/v/gone.mp4", "walk", "STATE", "10", "11"),
                )
            )
        },
    ),
    Example(
        "boris",
        {
            "source.csv": "Observation id,Source,FPS,Behavior,Start (s),Stop (s)\n"
            "one,player #1:/data/v/a.mp4;player #2:/data/b.mp4,10,walk,0.5,2.0\n"
            "one,player #1:/data/v/a.mp4;player #2:/data/b.mp4,10,読む é,1,3\n"
            "one,player #1:/data/v/a.mp4;player #2:/data/b.mp4,10,run,3,9\n"
            "one,player #1:/data/v/a.mp4;player #2:/data/b.mp4,10,late,7,8\n"
            "one,player #1:/data/v/a.mp4;player #2:/data/b.mp4,10,jump,2.5,\n"
            "two,player #1:/data/gone.mp4,10,walk,0,1\n"
        },
    ),
    Example(
        "boris",
        {
            "p.boris": '{"project_format_version": "7.0", "behaviors_conf": {'
            + ", ".join(
                f'"{index}": {{"type": "{kind}", "key": "k", "code": "{code}"}}'
                for index, (code, kind) in enumerate(
                    (
                        ("walk", "State event"), ("読む é", "State event"), ("run", "State event"),
                        ("late", "State event"), ("jump", "Point event"),
                    )
                )
            )
            + '}, "observations": {"one": {"file": {"1": ["/data/a.mp4"], "2": []}, "type": '
            '"MEDIA", "time offset": 10.0, "media_info": {"length": {"/data/a.mp4": 4.0}}, '
            '"events": [[10.5, "", "walk", "", ""], [11, "", "読む é", "", ""], '
            '[12, "", "walk", "", ""], [12.5, "", "jump", "", ""], [13, "", "読む é", "", ""], '
            '[13, "", "run", "", ""], [17, "", "late", "", ""], [18, "", "late", "", ""], '
            '[19, "", "run", "", ""]]}, "two": {"file": {"1": ["gone.mp4"]}, "type": "MEDIA", '
            '"time offset": 0.0, "events": [[0, "", "walk", "", ""], [1, "", "walk", "", ""]]}}}'
        },
    ),
    Example(
        "label-studio",
        {
            "export.json": "["
            + _label_studio_task(1, "/data/upload/1/0a1b2c3d-a.mp4", *_LABEL_STUDIO_RANGES)
            + ", "
            + _label_studio_task(2, "https://x.org/v/gone.mp4?sig=1", _GONE_RANGE)
            + "]"
        },
        (CUT, PAST),
    ),
    Example(
        "label-studio",
        {
            "min.json": '[{"id": 1, "video": "s3://bucket/a.mp4", "annotator": 1, "lead_time": 2, '
            f'"timelineLabels": [{", ".join(_LABEL_STUDIO_RANGES)}]}}, '
            '{"id": 2, "video": "s3://bucket/gone.mp4", "annotator": 1, "lead_time": 2, '
            f'"timelineLabels": [{_GONE_RANGE}]}}]'
        },
        (CUT, PAST),
    ),
    Example(
        "label-studio",
        {
            "export.csv": "annotation_id,annotator,created_at,id,lead_time,video,timelineLabels\n"
            + _label_studio_row(1, "/data/local-files/?d=v/a.mp4", *_LABEL_STUDIO_RANGES)
            + _label_studio_row(2, "/data/local-files/?d=v/gone.mp4", _GONE_RANGE)
        },
        (CUT, PAST),
    ),
    Example(
        "createml",
        {
            "annotations.json": '[{"file name": "a.mp4", "label": "walk", "start time": 0.5, '
            '"end time": 2}, {"file name": "a.mp4", "label": "読む é", "start time": 1, '
            '"end time": 3}, {"videoPath": "a.mp4", "label": "run", "startTime": 3, "endTime": 9},'
            '{"video": "a.mp4", "label": "late", "start": 7, "end": 8}, {"video": "a.mp4", '
            '"label": "jump", "start": 2.5, "end": 2.5}, {"video": "gone.mp4", "label": "walk"}]'
        },
    ),
    Example(
        "gmdcsa24",
        {
            "S1_Fall.csv": "File Name,Length (seconds),Time of Recording,Attire,Description,"
            " Classes\n13.mp4,04,Day,Shirt,Walks, walk[0.5 to 2]; 読む é [1 to 3]; run[3 to 9];"
            "late[7 to 8]; jump[2.5 to 2.5]\ngone.mp4,01,Day,Shirt,None, walk[0 to 1]\n"
        },
    ),
    Example(
        "audacity",
        {
            "a.txt": "0,500000\t2,000000\twalk\n1.0\t3.0\t読む é\n\\\t100.0\t200.0\n3.0\t9.0\trun\n"
            "7.0\t8.0\tlate\n2.5\t2.5\tjump\n",
            "gone.txt": "0.0\t1.0\twalk\n",
        },
    ),
    Example(
        "vtt",
        {
            "a.vtt": "WEBVTT - a title\n\nSTYLE\n::cue {}\n\n1\n00:00.500 --> 00:02.000 line:0\n"
            "<v Anna>walk\n\n00:00:01.000 --> 00:00:03.000\n読む\né\n\nNOTE it runs\n\n"
            "00:03.000 --> 00:09.000\n<b>run</b>\n\n00:07.000 --> 00:08.000\nlate\n\n"
            "00:02.500 --> 00:02.500\njump\n",
            "gone.vtt": "WEBVTT\n\n00:00.000 --> 00:01.000\nwalk\n",
        },
    ),
    Example(
        "srt",
        {
            "a.srt": "1\r\n00:00:00,500 --> 00:00:02,000\r\n<i>walk</i>\r\n\r\n2\r\n"
            "00:00:01,000 --> 00:00:03,000\r\n{\\an8}読む é\r\n\r\n3\r\n"
            "00:00:03,000 --> 00:00:09,000\r\nrun\r\n\r\n4\r\n00:00:07,000 --> 00:00:08,000\r\n"
            "late\r\n\r\n5\r\n00:00:02,500 --> 00:00:02,500\r\njump\r\n",
            "gone.srt": "1\n00:00:00,000 --> 00:00:01,000\nwalk\n",
        },
    ),
    Example(
        "csv",
        {
            "all.csv": "path;start_s;end_s;label\na.mp4;0,5;2;walk\na.mp4;1;3;読む é\n"
            "a.mp4;0:03;0:00:09,000;run\na.mp4;7;8;late\na.mp4;2,5;2,5;jump\ngone.mp4;;1;walk\n"
        },
    ),
    Example(
        "timeline",
        {
            "a.json": '{"source": "/other/a.mp4", "complete": true, "events": ['
            '{"label": "walk", "start_s": 0.5, '
            '"end_s": 2.0, "score": 0.9}, {"label": "読む é", "start_s": 1, "end_s": 3}, '
            '{"label": "run", "start_s": 3, "end_s": 9}, {"label": "late", "start_s": 7, '
            '"end_s": 8}, {"label": "jump", "start_s": 2.5, "end_s": 2.5}]}',
            "gone.json": '{"video": "gone.mp4", "complete": true, "events": ['
            '{"label": "walk", "start_s": 0, '
            '"end_s": 1}]}',
        },
    ),
)  # fmt: skip
