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
