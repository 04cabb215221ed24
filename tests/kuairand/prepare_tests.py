"""Tests of examples/kuairand/prepare.py on tables made up here. The last line is "N passed, N failed"."""

import contextlib
import csv
import gzip
import io
import math
import os
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "kuairand"))
import prepare  # noqa: E402

LOG_HEADER = ("user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,"
              "long_view,play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab")

# user, video, date, hour, the eight labels as text, play_time_ms, duration_ms, comment_stay_time
IMPRESSIONS = (
    ("7", "1", "20220410", 9, "1000001 0", 9000, 10000, 0),   # history
    ("7", "2", "20220411", 9, "1100001 0", 9000, 10000, 0),
    ("7", "1", "20220424", 23, "0000000 0", 500, 10000, 0),
    ("9", "1", "20220424", 23, "1000001 0", 9000, 10000, 0),
    ("7", "1", "20220425", 0, "1000001 0", 12000, 10000, 0),  # train
    ("7", "2", "20220425", 1, "0000000 0", 100, 20000, 0),
    ("9", "1", "20220425", 2, "1100000 1", 20000, 20000, 900),
    ("7", "3", "20220426", 3, "1000001 0", 9000, 0, 0),
    ("9", "1", "20220427", 13, "1011100 0", 100, 10000, 0),
    ("8", "3", "20220502", 23, "0000010 0", 100, 10000, 0),
    ("7", "1", "20220503", 0, "1100001 0", 12000, 10000, 7),  # valid
    ("8", "2", "20220504", 23, "0000000 0", 100, 20000, 0),
    ("9", "3", "20220505", 0, "1000001 1", 12000, 10000, 0),  # test
    ("7", "1", "20220508", 23, "0000000 0", 100, 10000, 0),
)
HISTORY_ROWS = 4
EXPECTED_SPLITS = {
    "train": [("7", "1"), ("7", "2"), ("9", "1"), ("7", "3"), ("9", "1"), ("8", "3")],
    "valid": [("7", "1"), ("8", "2")],
    "test": [("9", "3"), ("7", "1")],
}

# The same history as a table: the sample's form. User 8 has none.
HISTORIES = """user_id,history_len,last_time_ms,watch_seq,like_seq,long_view_seq
7,3,2,1 2 1,2,1 2
9,1,3,1,,1
"""

ONEHOT = [f"onehot_feat{i}" for i in range(18)]
USERS = "\n".join((
    "user_id,user_active_degree,is_lowactive_period,is_live_streamer,is_video_author,follow_user_num,"
    "follow_user_num_range,fans_user_num,fans_user_num_range,friend_user_num,friend_user_num_range,register_days,"
    "register_days_range," + ",".join(ONEHOT),
    '9,high_active,0,1,0,91,"(50,100]",92,"[10,100)",93,"[60,120)",94,61-90,' + ",".join("9" * 18),
    '7,full_active,0,-124,1,71,"(50,100]",72,"[10,100)",73,"[60,120)",74,61-90,' + ",".join("7" * 18),
    "8,low_active,0,-124,0,81,0,82,0,83,0,84,61-90," + ",".join([""] * 18),
)) + "\n"
VIDEOS = """video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,\
server_height,music_id,music_type,tag
3,300,AD,2022-04-09,Web,0.0,,720.0,1280.0,33,,
1,100,NORMAL,2022-04-09,Web,0.0,10000.0,720.0,1280.0,11,9.0,5
2,100,NORMAL,2022-04-10,Kmovie,0.0,20000.0,960.0,540.0,22,4.0,"6,5"
"""


def log_line(number, impression):
    user, video, date, hour, labels, play, duration, comment_stay = impression
    flags, profile = labels.split()
    return ",".join([user, video, date, str(100 * hour), str(1650000000000 + number), *flags, str(play), str(duration),
                     "0", str(comment_stay), profile, "0", "1"])


def log_lines():
    return [log_line(number, impression) for number, impression in enumerate(IMPRESSIONS)]


def as_log(lines):
    return "\n".join([LOG_HEADER, *lines]) + "\n"


def sample_tables(lines):
    """The files of the two-week sample, given the lines of the whole log."""
    lines = lines[HISTORY_ROWS:]
    return {"log_train.csv.gz": as_log(lines[:6]), "log_valid.csv.gz": as_log(lines[6:8]),
            "log_test.csv.gz": as_log(lines[8:]), "user_history_until_20220424.csv.gz": HISTORIES,
            "user_features_pure.csv.gz": USERS, "video_features_basic_pure.csv.gz": VIDEOS}


def public_tables(lines):
    """The files of the public data set, given the lines of the whole log."""
    return {"data/log_standard_4_08_to_4_21_pure.csv": as_log(lines[:2]),
            "data/log_standard_4_22_to_5_08_pure.csv": as_log(lines[2:]),
            "data/user_features_pure.csv": USERS, "data/video_features_basic_pure.csv": VIDEOS}


def write_tables(folder, tables):
    os.mkdir(os.path.join(folder, "data"))
    for name, text in tables.items():
        with (gzip.open if name.endswith(".gz") else open)(os.path.join(folder, name), "wt") as file:
            file.write(text)


def prepare_tables(tables, share=1):
    """Writes the files, prepares them, and returns the text of each split."""
    with tempfile.TemporaryDirectory() as folder:
        write_tables(folder, tables)
        output = os.path.join(folder, "output")
        with contextlib.redirect_stdout(io.StringIO()):
            prepare.prepare(folder, output, share)
        return {name: pathlib.Path(output, name + ".csv").read_text(encoding="utf-8") for name in EXPECTED_SPLITS}


def prepared_days(lines):
    """The rows of each day's table."""
    with tempfile.TemporaryDirectory() as folder:
        write_tables(folder, sample_tables(lines))
        output = os.path.join(folder, "output")
        days = prepare.prepare_days(folder, output)
        return {day: rows_of(pathlib.Path(output, f"{day}.csv").read_text(encoding="utf-8")) for day in days}


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def prepared(lines):
    return {name: rows_of(text) for name, text in prepare_tables(sample_tables(lines)).items()}


def features_of(row):
    return {name: value for name, value in row.items() if name not in prepare.TASKS}


def with_other_labels(line):
    """Every label and every column that is only known after the impression, changed."""
    fields = dict(zip(LOG_HEADER.split(","), line.split(",")))
    for name in ("is_click", "is_like", "is_follow", "is_comment", "is_forward", "is_hate", "long_view",
                 "is_profile_enter"):
        fields[name] = str(1 - int(fields[name]))
    finished = int(fields["play_time_ms"]) >= int(fields["duration_ms"])
    fields["play_time_ms"] = "1" if finished else "999999"
    fields["comment_stay_time"] = "0" if int(fields["comment_stay_time"]) else "999999"
    fields["profile_stay_time"] = "999999"
    return ",".join(fields.values())


def logit(positives, rows, base_rate):
    """Shrunk towards the base rate as if 20 more rows had been seen at it."""
    rate = (positives + 20 * base_rate) / (rows + 20)
    return math.log(rate / (1 - rate))


class Splits(unittest.TestCase):
    def test_rows_go_by_their_date(self):
        for name, rows in prepared(log_lines()).items():
            self.assertEqual([(row["user_id"], row["video_id"]) for row in rows], EXPECTED_SPLITS[name])

    def test_later_days_are_in_no_split(self):
        lines = log_lines()
        late = lines[-1].replace("20220508", "20220509").replace("1650000000013", "1650000000099")
        self.assertEqual(prepare_tables(public_tables(lines + [late])), prepare_tables(public_tables(lines)))

    def test_exact_duplicates_count_once(self):
        lines = log_lines()
        self.assertEqual(prepare_tables(public_tables(lines + lines[6:8])), prepare_tables(public_tables(lines)))

    def test_rows_are_ordered_by_time(self):
        lines = log_lines()
        tables = public_tables(lines)
        tables["data/log_standard_4_22_to_5_08_pure.csv"] = as_log(lines[:1:-1])
        self.assertEqual(prepare_tables(tables), prepare_tables(public_tables(lines)))


class Joins(unittest.TestCase):
    def assert_values(self, row, expected):
        self.assertEqual({name: row[name] for name in expected}, expected)

    def test_tables_and_histories_are_joined(self):
        first, second = prepared(log_lines())["train"][:2]
        self.assert_values(first, {
            "tab": "1", "hour": "0", "weekday": "0", "duration_ms": "10000", "follow_user_num": "71",
            "fans_user_num": "72", "friend_user_num": "73", "register_days": "74", "user_active_degree": "full_active",
            "is_live_streamer": "-124", "is_video_author": "1", **dict.fromkeys(ONEHOT, "7"), "history_views": "3",
            "history_likes": "1", "history_long_views": "2", "author_id": "100", "music_id": "11",
            "video_type": "NORMAL", "upload_type": "Web", "music_type": "9.0", "server_width": "720.0",
            "server_height": "1280.0", "tag": "5", "video_views": "3", "video_likes": "0", "video_long_views": "2"})
        self.assert_values(second, {"hour": "1", "music_id": "22", "upload_type": "Kmovie", "server_height": "540.0",
                                    "tag": "6,5", "video_views": "1", "video_likes": "1", "video_long_views": "1"})
        # Four views in all histories, one like and three long views.
        self.assertAlmostEqual(float(first["video_like_rate"]), 20 * 0.25 / 23, 4)
        self.assertAlmostEqual(float(first["video_long_view_rate"]), (2 + 20 * 0.75) / 23, 4)

    def test_what_is_missing_stays_empty_or_zero(self):
        row = prepared(log_lines())["train"][5]
        self.assert_values(row, {**dict.fromkeys(ONEHOT, ""), "music_type": "", "tag": "", "history_views": "0",
                                 "history_likes": "0", "history_long_views": "0", "video_views": "0"})

    def test_labels_are_taken_over_or_derived(self):
        rows = prepared(log_lines())["train"]
        self.assertEqual([[row[task] for task in prepare.TASKS] for row in rows], [
            list("1110000000"), list("0000000000"), list("1011110000"), list("1100000000"), list("1000001110"),
            list("0000000001")])

    def test_public_data_set_and_sample_agree(self):
        lines = log_lines()
        self.assertEqual(prepare_tables(public_tables(lines)), prepare_tables(sample_tables(lines)))

    def test_histories_keep_the_last_fifty(self):
        history = prepare.History()
        row = prepare.LogRow._make([0] * len(prepare.LogRow._fields))
        for video in range(60):
            history.add(row._replace(video_id=video, is_like=int(video < 5)))
        self.assertEqual((history.views, history.watched, history.liked, history.long_viewed),
                         (60, list(range(10, 60)), list(range(5)), []))


class LabelRates(unittest.TestCase):
    def assert_rates(self, row, key, task, rows, positives, base_rate):
        self.assertEqual(row[f"{key}_rows"], str(rows))
        self.assertAlmostEqual(float(row[f"{key}_logit_{task}"]), logit(positives, rows, base_rate), 3)

    def test_training_rows_are_told_of_the_other_days(self):
        first = prepared(log_lines())["train"][0]
        base_rate = (2 + 1) / (3 + 2)  # of the three rows after 25 April, two have a click
        self.assert_rates(first, "user", "is_click", 1, 1, base_rate)
        self.assert_rates(first, "video", "is_click", 1, 1, base_rate)
        self.assert_rates(first, "author", "is_click", 1, 1, base_rate)
        self.assert_rates(first, "video", "finish_play", 1, 0, 1 / 5)

    def test_other_rows_are_told_of_all_training_days(self):
        split = prepared(log_lines())
        base_rate = (4 + 1) / (6 + 2)
        self.assert_rates(split["valid"][0], "user", "is_click", 3, 2, base_rate)
        self.assert_rates(split["valid"][1], "video", "is_click", 1, 0, base_rate)
        self.assert_rates(split["valid"][1], "author", "is_click", 4, 3, base_rate)
        self.assert_rates(split["test"][0], "video", "is_hate", 2, 1, 2 / 8)

    def test_labels_to_be_predicted_change_no_feature(self):
        lines = log_lines()
        before = prepared(lines)
        after = prepared(lines[:10] + [with_other_labels(line) for line in lines[10:]])
        for name in EXPECTED_SPLITS:
            for row, other in zip(before[name], after[name]):
                self.assertEqual(features_of(row), features_of(other))
        for name in ("valid", "test"):
            for row, other in zip(before[name], after[name]):
                for task in prepare.TASKS:
                    self.assertNotEqual(row[task], other[task])

    def test_labels_of_a_training_row_change_features_of_other_days_only(self):
        lines = log_lines()
        dates = [impression[2] for impression in IMPRESSIONS]
        before = prepared(lines)
        for changed in range(HISTORY_ROWS, HISTORY_ROWS + len(EXPECTED_SPLITS["train"])):
            after = prepared([with_other_labels(line) if number == changed else line
                              for number, line in enumerate(lines)])
            for number, (row, other) in enumerate(zip(before["train"], after["train"]), HISTORY_ROWS):
                same = features_of(row) == features_of(other)
                self.assertEqual(same, dates[number] == dates[changed], f"row {number}, changed {changed}")
            self.assertNotEqual(features_of(before["test"][0]), features_of(after["test"][0]))


    def test_a_share_of_the_training_rows_is_all_there_is(self):
        part = {name: rows_of(text) for name, text in prepare_tables(sample_tables(log_lines()), 0.5).items()}
        whole = prepared(log_lines())
        self.assertEqual(len(part["train"]), 3)
        self.assertEqual([len(part[name]) for name in ("valid", "test")], [2, 2])
        keys = [(row["user_id"], row["video_id"], row["hour"]) for row in whole["train"]]
        drawn = [(row["user_id"], row["video_id"], row["hour"]) for row in part["train"]]
        self.assertEqual(drawn, [key for key in keys if key in drawn])
        for row in part["test"]:
            rows = sum(user == row["user_id"] for user, _, _ in drawn)
            self.assertEqual(int(row["user_rows"]), rows)


class Days(unittest.TestCase):
    def test_each_day_but_the_first_has_its_rows(self):
        days = prepared_days(log_lines())
        dates = [int(impression[2]) for impression in IMPRESSIONS[HISTORY_ROWS:]]
        self.assertEqual({day: len(rows) for day, rows in days.items()},
                         {date: dates.count(date) for date in dates if date > 20220425})

    def test_rates_count_the_rows_of_the_days_before(self):
        impressions = IMPRESSIONS[HISTORY_ROWS:]
        for day, rows in prepared_days(log_lines()).items():
            for row in rows:
                before = [i for i in impressions if int(i[2]) < day and i[0] == row["user_id"]]
                base = [i for i in impressions if int(i[2]) < day]
                self.assertEqual(int(row["user_rows"]), len(before))
                rate = logit(sum(i[4][0] == "1" for i in before), len(before),
                             (sum(i[4][0] == "1" for i in base) + 1) / (len(base) + 2))
                self.assertAlmostEqual(float(row["user_logit_is_click"]), rate, places=3)

    def test_labels_change_features_of_later_days_only(self):
        lines = log_lines()
        before = prepared_days(lines)
        for changed in range(HISTORY_ROWS, len(lines)):
            date = int(IMPRESSIONS[changed][2])
            after = prepared_days([with_other_labels(line) if number == changed else line
                                   for number, line in enumerate(lines)])
            for day in before:
                same = list(map(features_of, before[day])) == list(map(features_of, after[day]))
                self.assertEqual(same, day <= date, f"{day}, changed {changed}")


class Errors(unittest.TestCase):
    def assert_error(self, tables, *parts):
        with self.assertRaises(prepare.DataError) as caught:
            prepare_tables(tables)
        for part in parts:
            self.assertIn(part, str(caught.exception))

    def test_a_missing_table_is_named(self):
        for name in sample_tables(log_lines()):
            tables = sample_tables(log_lines())
            del tables[name]
            expected = "log_standard_4_08_to_4_21_pure.csv" if "history" in name else name
            self.assert_error(tables, expected)

    def test_a_missing_column_is_named(self):
        tables = sample_tables(log_lines())
        tables["log_valid.csv.gz"] = tables["log_valid.csv.gz"].replace("is_hate", "hate")
        self.assert_error(tables, "log_valid.csv.gz:1:", "is_hate")

    def test_a_text_that_is_no_number_is_placed(self):
        tables = sample_tables(log_lines())
        tables["log_valid.csv.gz"] = tables["log_valid.csv.gz"].replace(",20220504,", ",May,")
        self.assert_error(tables, "log_valid.csv.gz:3:", "May", "whole number")

    def test_a_short_line_is_placed(self):
        tables = sample_tables(log_lines())
        tables["user_features_pure.csv.gz"] += "3,4\n"
        self.assert_error(tables, "user_features_pure.csv.gz:5:", "2 fields", "31")

    def test_an_unknown_user_or_video_is_named(self):
        for old, new in (("\n7,1,", "\n6,1,"), ("\n8,2,", "\n8,5,")):
            tables = sample_tables(log_lines())
            tables["log_valid.csv.gz"] = tables["log_valid.csv.gz"].replace(old, new)
            self.assert_error(tables, f"user {new[1]}", f"video {new[3]}")


def main():
    result = unittest.TextTestRunner(verbosity=0).run(unittest.defaultTestLoader.loadTestsFromModule(
        sys.modules[__name__]))
    failed = len({test.id() for test, _ in result.failures + result.errors})
    print(f"{result.testsRun - failed} passed, {failed} failed")
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
