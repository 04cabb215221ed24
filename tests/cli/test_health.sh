#!/bin/sh
# "home inspect", "home report" and "home train --log". Run from the top of the tree, after make.
. tests/cli/program.sh

# ------------------------------------------------------------------------------------------- data

# The name of the second task wants quotes in CSV and escapes in HTML.
awk 'BEGIN {
    srand(3)
    print "a,b,c,user,click,like"
    for (row = 0; row < 3000; row++) {
        a = rand(); b = rand(); c = rand()
        printf "%.3f,%.3f,%.3f,u%d,%d,%d\n", a, b, c, row % 50, rand() < a, rand() < b * c
    }
}' > rows.csv

# recipe MODEL LEARNING_RATE
recipe() {
    cat <<END
{"dense": [{"column": "a", "transform": "standardise"}, {"column": "b", "transform": "standardise"}, {"column": "c"}],
 "labels": [{"column": "click", "group": "interaction"}, {"column": "like", "task": "<like>, \"it\" & more", "group": "watch"}],
 "user": "user", "training": {"epochs": 3, "batch": 64, "seed": 5},
 "model": {$1, "optimizer": {"learning_rate": $2}}}
END
}
recipe '"layers": [{"width": 8, "shared_experts": 2}, {"width": 8}]' 0.002 > home.json
recipe '"preset": "mmoe", "layers": [{"width": 8, "hidden": [8], "shared_experts": 3}]' 0.5 > collapsed.json
recipe '"preset": "shared-bottom", "layers": [{"width": 8}]' 0.002 > bottom.json

# ------------------------------------------------------------------------------------- train --log

home train home.json --train rows.csv --output home.safetensors --log log.csv > train.out 2> train.err
check "train --log" test -s home.safetensors
check "a line per epoch and task" test "$(wc -l < log.csv)" -eq 7
check "the header" grep -qx 'epoch,steps,seconds,scored,task,rows,positives,training_loss,auc,gauc,log_loss,calibration' log.csv
check "a task's name in quotes" grep -q '^3,141,[0-9.]*,training,"<like>, ""it"" & more",3000,' log.csv
# the table rounds to four digits what the log has in nine
check "the same AUC as printed" sh -c '
    printed=$(grep "^click " train.out | tail -n 1 | awk "{ print \$4 }")
    logged=$(grep "^3,.*,click," log.csv | cut -d, -f9)
    test -n "$printed" && test "$printed" = "$(printf %.4f "$logged")"'
home train home.json --train rows.csv --output again.safetensors > again.out 2> again.err
check "the log changes nothing" cmp home.safetensors again.safetensors
fails 1 'nowhere/log.csv: cannot write to its folder' \
    home train home.json --train rows.csv --output other.safetensors --log nowhere/log.csv
check "and nothing was trained" test ! -e other.safetensors

# Days that follow each other are one log, from which a run that starts earlier takes what came later.
run() {
    home train home.json --train rows.csv --output day.safetensors --log day.csv "$@" > day.out 2> day.err
}
epochs() {
    grep ',click,' day.csv | cut -d, -f1 | tr '\n' ' '
}
run --epochs 2 --resumable
cp day.safetensors second.safetensors
run --epochs 1 --resume day.safetensors
check "a resumed run adds to the log" test "$(epochs)" = '1 2 3 '
check "which has one header" test "$(grep -c epoch day.csv)" -eq 1
run --epochs 1 --resume second.safetensors
check "an earlier epoch may follow" test "$(epochs)" = '1 2 3 3 '
run --epochs 2 --resume second.safetensors
run --epochs 1 --resume second.safetensors
check "the log keeps all that was run" test "$(epochs)" = '1 2 3 3 3 4 3 '
{ head -n 5 day.csv; tail -n 2 day.csv; } > last.csv
check "the report draws what came last" sh -c '
    home report home.safetensors rows.csv --log day.csv --output day.html
    home report home.safetensors rows.csv --log last.csv --output last.html
    cmp day.html last.html'
run --epochs 1 --resumable
check "a fresh run replaces it" test "$(epochs)" = '1 '
echo 'something else' > day.csv
run --epochs 1 --resume second.safetensors
check "so does a resumed one where it is no log" test "$(epochs)" = '3 '

# ---------------------------------------------------------------------------------------- inspect

check "inspect" home inspect home.safetensors rows.csv
home inspect home.safetensors rows.csv > inspect.out
home eval home.safetensors rows.csv > eval.out
check "inspect has eval's table" sh -c 'grep "^click " eval.out | grep -qxFf - inspect.out'
check "every expert has a line" test "$(grep -c ' of 8 ' inspect.out)" -eq 9
check "gates of layer 0 sum to 1" awk '
    /^layer 0: gate of/ { columns = NF - 7; next }
    /^ +[a-z<]/ && columns { sum = 0; for (i = NF - 2 - columns; i <= NF - 3; i++) if ($i != ".") sum += $i
                             if (sum < 0.995 || sum > 1.005) bad = 1; rows++ }
    /^$/ { columns = 0 }
    END { exit bad || rows != 3 }' inspect.out
check "a healthy model" grep -qx 'collapse: none found' inspect.out
check "its shared experts" grep -qx 'degradation: none found' inspect.out
check "few rows are told" sh -c 'head -n 100 rows.csv > few.csv; home inspect home.safetensors few.csv | grep -qF "These figures are of 99 rows; 1000 or more"'

home train collapsed.json --train rows.csv --output collapsed.safetensors > collapsed.out 2> collapsed.err
home inspect collapsed.safetensors rows.csv > collapsed.txt
check "a collapsed model" grep -q '^collapse: [1-9][0-9]* sign' collapsed.txt
check "which expert, the figure, the threshold" grep -q 'layer 0, expert shared\.[0-2]: [0-9]* % of its values are zero (threshold 90 %)' collapsed.txt
check "what to try" grep -q 'Try: use Swish after a batch norm' collapsed.txt
check "no own experts, no verdict" grep -qx 'underfitting: unknown: no task has experts of its own' collapsed.txt

home train bottom.json --train rows.csv --output bottom.safetensors > bottom.out 2> bottom.err
check "shared-bottom can be inspected" home inspect bottom.safetensors rows.csv

fails 2 'no DATA given' home inspect home.safetensors
fails 1 'none.csv' home inspect home.safetensors none.csv
head -n 1 rows.csv > empty.csv
fails 1 'empty.csv: no rows; expected at least one' home inspect home.safetensors empty.csv
cut -d, -f1-5 rows.csv > unlabelled.csv
fails 1 'like' home inspect home.safetensors unlabelled.csv

# ----------------------------------------------------------------------------------------- report

check "report" home report home.safetensors rows.csv --log log.csv --output report.html
check "report of a collapsed model" home report collapsed.safetensors rows.csv --output collapsed.html
check "report of a model without gates" home report bottom.safetensors rows.csv --output bottom.html
check "it says what inspect says" grep -q 'of its values are zero (threshold 90 %)' collapsed.html
check "nothing from elsewhere" sh -c '! grep -qiE "<script|<link|https?:|@import|url\(" report.html'
check "names are escaped" sh -c 'grep -qF "&lt;like&gt;, &quot;it&quot; &amp; more" report.html && ! grep -qF "<like>" report.html'
check "both colour schemes, and paper" sh -c 'grep -q "prefers-color-scheme: dark" report.html && grep -q "@media print" report.html'
check "no figure that is none" sh -c '! grep -qiE "[^a-z](nan|inf)[^a-z]" bottom.html'
check "curves over the epochs" grep -q 'loss in training' report.html
check "without a log it says how to get one" grep -qF 'home train --log' collapsed.html
fails 2 'no --output given' home report home.safetensors rows.csv
fails 1 'nowhere/report.html' home report home.safetensors rows.csv --output nowhere/report.html
sed 's/^2,\([^,]*\),\([^,]*\),training,click,\([^,]*\),\([^,]*\),[^,]*/2,\1,\2,training,click,\3,\4,much/' log.csv > bad.csv
fails 1 'bad.csv:4:' home report home.safetensors rows.csv --log bad.csv --output none.html
fails 1 'column "training_loss": "much"; expected a decimal number' \
    home report home.safetensors rows.csv --log bad.csv --output none.html
check "a failed report leaves nothing" test ! -e none.html

if have python3; then
    check "tags match" python3 - report.html collapsed.html bottom.html <<'END'
import html.parser, sys

VOID = {"meta"}

class Balance(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        at = self.getpos()
        assert self.open and self.open[-1] == tag, "%s closes %s at %s" % (tag, self.open[-1:], at)
        self.open.pop()

for path in sys.argv[1:]:
    page = Balance()
    page.feed(open(path, encoding="utf-8").read())
    assert not page.open, page.open
END
else
    skip 'tags match: python3 is not installed'
fi
summary
