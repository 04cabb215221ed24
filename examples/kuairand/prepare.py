#!/usr/bin/env python3
"""Joins the tables of KuaiRand-Pure into train.csv, valid.csv and test.csv for the program `home`.

    prepare.py DATA OUTPUT

DATA is the folder of the public data set or of the two-week sample. README.md in this folder explains the columns, and
why none of them depends on a label of its own row. Needs only Python's standard library.
"""

import csv
import functools
import gzip
import math
import os
import random
import sys
from collections import Counter, namedtuple
from datetime import datetime
from itertools import groupby, repeat

FIRST_DATE = 20220425  # earlier rows are history
SPLITS = {"train": (20220425, 20220502), "valid": (20220503, 20220504), "test": (20220505, 20220508)}

TASKS = ("is_click", "long_view", "finish_play", "is_like", "is_profile_enter", "comment_open", "is_comment",
         "is_follow", "is_forward", "is_hate")

# All columns of the log; rows are sorted by the first ones.
LogRow = namedtuple("LogRow", "time_ms user_id video_id date hourmin is_click is_like is_follow is_comment "
                              "is_forward is_hate long_view play_time_ms duration_ms profile_stay_time "
                              "comment_stay_time is_profile_enter is_rand tab")

USER_COLUMNS = ("follow_user_num", "fans_user_num", "friend_user_num", "register_days", "user_active_degree",
                "is_live_streamer", "is_video_author", *(f"onehot_feat{i}" for i in range(18)))
VIDEO_COLUMNS = ("author_id", "music_id", "video_type", "upload_type", "music_type", "server_width",
                 "server_height", "tag")

HISTORY_LENGTH = 50  # how many of the last videos of each kind a history remembers
RATE_PRIOR = 20      # a rate starts as if this many rows had been seen at the overall rate


class DataError(Exception):
    """The data are wrong. The message says where, what was found and what was expected."""


# ------------------------------------------------------------------------------------------------ reading


def find(folder, name):
    """Returns the path of a table: in the folder or its subfolder `data`, plain or gzipped. None if there is none."""
    for directory in (folder, os.path.join(folder, "data")):
        for suffix in ("", ".gz"):
            path = os.path.join(directory, name + suffix)
            if os.path.exists(path):
                return path
    return None


def require(folder, name):
    path = find(folder, name)
    if path is None:
        raise DataError(f"{folder}: found neither {name} nor {name}.gz, here or in the folder data")
    return path


def read(path, columns, parse=list):
    """Yields parse(texts of the named columns) for every line."""
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        for name in columns:
            if header.count(name) != 1:
                raise DataError(f"{path}:1: {header.count(name)} columns {name}; expected one")
        order = [header.index(name) for name in columns]
        for row in reader:
            if len(row) != len(header):
                raise DataError(f"{path}:{reader.line_num}: {len(row)} fields; expected {len(header)}")
            texts = [row[index] for index in order]
            try:
                yield parse(texts)
            except ValueError as error:
                raise DataError(f"{path}:{reader.line_num}: {error}; expected a whole number") from None


def read_features(path, key, columns):
    """Returns the texts of `columns` by the number in `key`."""
    return dict(read(path, (key, *columns), lambda texts: (int(texts[0]), texts[1:])))


def read_log(path):
    return read(path, LogRow._fields, lambda texts: LogRow._make(map(int, texts)))


class History:
    """What a user watched before FIRST_DATE: how many, and the last videos of each kind, oldest first."""

    def __init__(self, views=0, watched=(), liked=(), long_viewed=()):
        self.views = views
        self.watched = list(watched)
        self.liked = list(liked)
        self.long_viewed = list(long_viewed)

    def add(self, row):
        self.views += 1
        for videos, takes_part in ((self.watched, True), (self.liked, row.is_like),
                                   (self.long_viewed, row.long_view)):
            if takes_part:
                videos.append(row.video_id)
                del videos[:-HISTORY_LENGTH]


def read_histories(path):
    """Reads the table of histories, which the sample has instead of the log before FIRST_DATE."""

    def parse(texts):
        user, views, *lists = texts
        return int(user), History(int(views), *(map(int, text.split()) for text in lists))

    return dict(read(path, ("user_id", "history_len", "watch_seq", "like_seq", "long_view_seq"), parse))


def read_impressions(folder):
    """Returns the rows of the log from FIRST_DATE on, by time, and the earlier history of each user."""
    sample = find(folder, "user_history_until_20220424.csv")
    names = ("log_train.csv", "log_valid.csv", "log_test.csv") if sample else (
        "log_standard_4_08_to_4_21_pure.csv", "log_standard_4_22_to_5_08_pure.csv")
    # A set, because the public log contains some rows twice.
    rows = sorted({row for name in names for row in read_log(require(folder, name))})
    if sample:
        return rows, read_histories(sample)
    histories = {}
    for row in rows:
        if row.date < FIRST_DATE:
            histories.setdefault(row.user_id, History()).add(row)
    return [row for row in rows if row.date >= FIRST_DATE], histories


# ----------------------------------------------------------------------------------------------- features
#
# A class of features has `columns`, their names, and a method that returns their values as a list.


def labels_of(row):
    derived = {"finish_play": row.duration_ms > 0 and row.play_time_ms >= row.duration_ms,
               "comment_open": row.comment_stay_time > 0}
    return [int(derived[task]) if task in derived else getattr(row, task) for task in TASKS]


def smooth(positives, rows, base_rate):
    return (positives + RATE_PRIOR * base_rate) / (rows + RATE_PRIOR)


class UserFeatures:
    """The table of users, and how much each one watched and liked before FIRST_DATE."""

    columns = (*USER_COLUMNS, "history_views", "history_likes", "history_long_views")

    def __init__(self, table, histories):
        self.table = table
        self.histories = histories

    def values(self, user):
        history = self.histories.get(user, History())
        return [*self.table[user], history.views, len(history.liked), len(history.long_viewed)]


class VideoFeatures:
    """The table of videos, and how all users together responded to each before FIRST_DATE."""

    columns = (*VIDEO_COLUMNS, "video_views", "video_likes", "video_long_views", "video_like_rate",
               "video_long_view_rate")

    def __init__(self, table, histories):
        self.table = table
        self.views, self.likes, self.long_views = Counter(), Counter(), Counter()
        for history in histories.values():
            self.views.update(history.watched)
            self.likes.update(history.liked)
            self.long_views.update(history.long_viewed)
        all_views = max(1, self.views.total())
        self.like_rate = self.likes.total() / all_views
        self.long_view_rate = self.long_views.total() / all_views

    def values(self, video):
        views, likes, long_views = self.views[video], self.likes[video], self.long_views[video]
        return [*self.table[video], views, likes, long_views, round(smooth(likes, views, self.like_rate), 5),
                round(smooth(long_views, views, self.long_view_rate), 5)]


class LabelRates:
    """How often each task was positive in the training rows that share a key, as logits.

    A training row gets the rates of the other days only, without its own labels and those of its session.
    The rows of the other splits, for which `day` is None, get the rates of all training rows."""

    NOTHING = [0] * (1 + len(TASKS))

    def __init__(self, name):
        self.columns = (f"{name}_rows", *(f"{name}_logit_{task}" for task in TASKS))
        self.sums = {}  # rows and positives of each task, by (key, day) and, over all days, by (key, None)

    def add(self, key, day, labels):
        for index in ((key, day), (key, None)):
            self.sums[index] = [a + b for a, b in zip(self.sums.get(index, self.NOTHING), (1, *labels))]

    def sums_without(self, key, day):
        total = self.sums.get((key, None), self.NOTHING)
        part = self.sums.get((key, day), self.NOTHING) if day else self.NOTHING
        return [a - b for a, b in zip(total, part)]

    def values(self, key, day, base_rates):
        rows, *positives = self.sums_without(key, day)
        rates = map(smooth, positives, repeat(rows), base_rates)
        return [rows, *(round(math.log(rate / (1 - rate)), 4) for rate in rates)]


@functools.cache
def weekday(date):
    return datetime.strptime(str(date), "%Y%m%d").weekday()


class Features:
    """All that a model can know about a row of the log, including rates that it has learned from other rows' labels."""

    def __init__(self, histories, users, videos):
        self.users = UserFeatures(users, histories)
        self.videos = VideoFeatures(videos, histories)
        self.authors = {video: values[VIDEO_COLUMNS.index("author_id")] for video, values in videos.items()}
        self.rates = (LabelRates("user"), LabelRates("video"), LabelRates("author"))
        self.everything = LabelRates("all")
        self.base_rates = {}
        self.columns = ("user_id", "video_id", "tab", "hour", "weekday", "duration_ms", *self.users.columns,
                        *self.videos.columns, *(name for rates in self.rates for name in rates.columns))

    def learn(self, rows):
        for row in rows:
            labels = labels_of(row)
            self.everything.add(None, row.date, labels)
            for rates, key in zip(self.rates, self.keys(row)):
                rates.add(key, row.date, labels)
        for day in {None, *self.base_rates, *(row.date for row in rows)}:
            count, *positives = self.everything.sums_without(None, day)
            self.base_rates[day] = [(positive + 1) / (count + 2) for positive in positives]

    def keys(self, row):
        return row.user_id, row.video_id, self.authors[row.video_id]

    def values(self, row, day):
        """`day` is the row's own day if the model will be trained on it, and None otherwise."""
        values = [row.user_id, row.video_id, row.tab, row.hourmin // 100, weekday(row.date), row.duration_ms]
        values += self.users.values(row.user_id)
        values += self.videos.values(row.video_id)
        for rates, key in zip(self.rates, self.keys(row)):
            values += rates.values(key, day, self.base_rates[day])
        return values


# ------------------------------------------------------------------------------------------------ writing


def write(path, header, rows):
    """Writes the file completely or not at all."""
    with open(path + ".part", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    os.replace(path + ".part", path)


def read_tables(folder):
    """Returns the log from FIRST_DATE on, the history of each user, and the tables of users and videos."""
    impressions, histories = read_impressions(folder)
    users = read_features(require(folder, "user_features_pure.csv"), "user_id", USER_COLUMNS)
    videos = read_features(require(folder, "video_features_basic_pure.csv"), "video_id", VIDEO_COLUMNS)
    for row in impressions:
        if row.user_id not in users or row.video_id not in videos:
            raise DataError(f"{folder}: the log shows video {row.video_id} to user {row.user_id}; expected "
                            "both in the tables of features")
    return impressions, histories, users, videos


def prepare(folder, output, share=1):
    """`share`: the part of the training rows, drawn at random, that is used for training and for the rates."""
    impressions, histories, users, videos = read_tables(folder)
    splits = {name: [row for row in impressions if first <= row.date <= last]
              for name, (first, last) in SPLITS.items()}
    if share < 1:
        drawn = random.Random(1).sample(range(len(splits["train"])), round(share * len(splits["train"])))
        splits["train"] = [splits["train"][index] for index in sorted(drawn)]
    features = Features(histories, users, videos)
    features.learn(splits["train"])
    os.makedirs(output, exist_ok=True)
    for name, rows in splits.items():
        write(os.path.join(output, name + ".csv"), (*features.columns, *TASKS),
              ([*features.values(row, row.date if name == "train" else None), *labels_of(row)] for row in rows))
        print(f"{name}: {len(rows)} rows")


def prepare_days(folder, output):
    """Writes a table YYYYMMDD.csv for each day except the first, with the rates of earlier days. Returns the days."""
    impressions, histories, users, videos = read_tables(folder)
    features = Features(histories, users, videos)
    os.makedirs(output, exist_ok=True)
    days = []
    for date, rows in groupby(sorted(impressions, key=lambda row: row.date), lambda row: row.date):
        rows = list(rows)
        if date > FIRST_DATE:
            days.append(date)
            write(os.path.join(output, f"{date}.csv"), (*features.columns, *TASKS),
                  ([*features.values(row, None), *labels_of(row)] for row in rows))
        features.learn(rows)
    return days


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: prepare.py DATA OUTPUT")
    try:
        prepare(sys.argv[1], sys.argv[2])
    except (DataError, OSError) as error:
        sys.exit(f"prepare.py: {error}")


if __name__ == "__main__":
    main()
