"""``jaxclust group`` as tests call it, and the table that it writes."""

import csv


def table(out):
    with (out / "groups.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def words(folder, features, *more):
    return ["group", str(folder), "--features", str(features), "--seeds", "3", *map(str, more)]
