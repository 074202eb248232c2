"""Trees and texts of datasets for the tests of prepare: empty files stand for the videos."""

from __future__ import annotations

from pathlib import Path


def make_tree(root: Path, *names: str) -> Path:
    """root, with empty files of these names below it."""
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def ucf101_tree(root: Path) -> Path:
    make_tree(
        root / "UCF-101",
        "Archery/v_Archery_g01_c01.avi",
        "Archery/v_Archery_g08_c01.avi",
        "HandstandPushups/v_HandStandPushups_g02_c03.avi",
        "HandstandPushups/v_HandStandPushups_g25_c01.avi",
    )
    lists = root / "ucfTrainTestlist"
    write(lists / "classInd.txt", "1 Archery", "2 HandstandPushups")
    first = "Archery/v_Archery_g01_c01.avi", "HandstandPushups/v_HandStandPushups_g02_c03.avi"
    second = "Archery/v_Archery_g08_c01.avi", "HandstandPushups/v_HandStandPushups_g25_c01.avi"
    write(lists / "trainlist01.txt", f"{second[0]} 1\r", f"{second[1]} 2\r")
    write(lists / "testlist01.txt", *first)
    write(lists / "trainlist02.txt", f"{first[0]} 1", f"{first[1]} 2", f"{second[1]} 2")
    write(lists / "testlist02.txt", second[0])
    return root


def hmdb51_tree(root: Path) -> Path:
    make_tree(
        root / "hmdb51_org",
        "eat/Oceans11_eat_u_cm_np1_fr_med_7.avi",
        "eat/AMADEUS_eat_u_nm_np1_fr_med_5.avi",
        "eat/Glory_eat_h_cm_np1_fr_med_8.avi",
        "shoot_ball/Oceans11_shoot_ball_f_nm_np1_ba_med_0.avi",
    )
    lists = root / "testTrainMulti_7030_splits"
    write(
        lists / "eat_test_split1.txt",
        "Oceans11_eat_u_cm_np1_fr_med_7.avi 1 ",
        "AMADEUS_eat_u_nm_np1_fr_med_5.avi 2 ",
        "Glory_eat_h_cm_np1_fr_med_8.avi 0 ",
    )
    write(lists / "shoot_ball_test_split1.txt", "Oceans11_shoot_ball_f_nm_np1_ba_med_0.avi 2 ")
    return root


KTH_TEXT = """
Training:   person11, 12, 13, 14, 15, 16, 17, 18

person01_boxing_d1\t\tframes\t1-95, 96-185
person07_jogging_d4\t\tframes\t1-64, 270-332, 194-264
person13_handclapping_d3\t*missing*
person13_handclapping_d4    \tframes\t1-132
"""


def kth_tree(root: Path) -> Path:
    make_tree(
        root,
        "boxing/person01_boxing_d1_uncomp.avi",
        "jogging/person07_jogging_d4_uncomp.avi",
        "person13_handclapping_d4_uncomp.avi",
    )
    write(root / "00sequences.txt", KTH_TEXT)
    return root


def kinetics_tree(root: Path) -> Path:
    """One clip that was cut, one whole video, and one that is no longer to be had."""
    make_tree(root, "train/ab_d-fghijk_000010_000020.mp4", "val/-bcdefghijk.webm")
    header = "label,youtube_id,time_start,time_end,split"
    write(
        root / "annotations/train.csv",
        f"{header},is_cc",
        '"air drumming",ab_d-fghijk,10,20,train,0',
        "archery,gone_fghijk,3,13,train,0",
    )
    write(root / "annotations/val.csv", header, "archery,-bcdefghijk,5,15,validate")
    write(root / "annotations/test.csv", header.removeprefix("label,"), "zzzzzzzzzzz,1,11,test")
    return root


def something_tree(root: Path) -> Path:
    """A video, a folder of its pictures, and a clip that is missing."""
    make_tree(root / "20bn-something-something-v2", "74225.webm", "1000/1.jpg", "1000/2.jpg")
    label = "Pushing something off of something"
    write(root / "labels/labels.json", f'{{"{label}": "0", "Closing something": "1"}}')
    template = label.replace("something", "[something]")
    pushed = f'{{"id": "74225", "label": "pushing a cup", "template": "{template}"}}'
    closed = '{"id": "%s", "template": "Closing [something]", "placeholders": ["box"]}'
    write(root / "labels/train.json", f"[{pushed}, {closed % 9}]")
    write(root / "labels/validation.json", f"[{closed % 1000}]")
    write(root / "labels/test.json", '[{"id": "5"}]')
    return root


def jester_tree(root: Path) -> Path:
    make_tree(root / "20bn-jester-v1", "1/00001.jpg", "1/00002.jpg", "2/1.jpg", "2/2.jpg")
    write(root / "jester-v1-labels.csv", "Swiping Left", "No gesture")
    write(root / "jester-v1-train.csv", "1;Swiping Left", "3;No gesture")
    write(root / "jester-v1-validation.csv", "2;No gesture")
    write(root / "jester-v1-test.csv", "4")
    return root


AVA_LABELS = """label {
  name: "bend/bow (at the waist)"
  label_id: 1
  label_type: PERSON_MOVEMENT
}
item {
  name: "stand"
  id: 12
}"""


def ava_tree(root: Path) -> Path:
    make_tree(root, "videos/-5KQ66BBWC4.mkv", "videos/keUOiCcHtoQ.mp4")
    write(root / "ava_action_list_v2.2.pbtxt", AVA_LABELS)
    box = "0.077,0.151,0.283,0.811"
    write(
        root / "ava_train_v2.2.csv",
        f"-5KQ66BBWC4,0902,{box},12,1",
        f"-5KQ66BBWC4,0902,{box},1,0",
        f"-5KQ66BBWC4,0902,{box},12,0",
        f"-5KQ66BBWC4,0903,{box},80,0",
        f"-5KQ66BBWC4,0904,{box},12,0",
        f"goneGONEgon,0902,{box},12,0",
    )
    write(root / "ava_train_excluded_timestamps_v2.2.csv", "-5KQ66BBWC4,0904")
    write(root / "ava_val_v2.2.csv", "keUOiCcHtoQ,0902,,,,,,")
    write(root / "ava_train_v2.1.csv", "keUOiCcHtoQ,0902,,,,,,")
    return root


def charades_tree(root: Path) -> Path:
    make_tree(root / "Charades_v1_480", "46GP8.mp4", "N11GT.mp4")
    lists = root / "Charades"
    write(lists / "Charades_v1_classes.txt", "c092 Watching television", "c147 Smiling at a book")
    header = "id,subject,scene,objects,actions,length"
    write(
        lists / "Charades_v1_train.csv",
        header,
        '46GP8,HR43,Kitchen,"bag;food",c092 11.90 21.20;c147 0.00 12.60;c147 5.0 5.0,24.83',
        "GONE1,HR43,Kitchen,,c092 0.00 3.00,10.0",
    )
    write(lists / "Charades_v1_test.csv", header, "N11GT,0KZ7,Bedroom,,,12.0")
    return root


def falls_tree(root: Path) -> Path:
    """GMDCSA24 with typing errors as they are in it."""
    make_tree(root, "Subject 1/ADL/01.mp4", "Subject 1/Fall/01.mp4", "Subject 2/Fall/01.mp4")
    header = "File Name,Length (seconds),Time of Recording,Attire,Description, Classes"
    about = "05, Day (Light On),Shirt; Trousers, Walking to falling"
    write(
        root / "Subject 1/ADL.csv",
        header,
        f"01.mp4,{about},Reading[0 to 4]; Walking [0 to 4]; Standing[4 4.5; 6 to 7]; ",
        f"02.mp4,{about},Walking[0 to 2]",
    )
    write(
        root / "Subject 1/Fall.csv",
        header,
        f"01.mp4,{about},Falling (SW[1.8 to 5]:; Sitting[9.7 to 3]",
    )
    write(root / "Subject 2/Fall.csv", header, f"01.mp4,{about},Walking[0 to 1.8]")
    return root
