"""The configurations of the golden files: every preset and every switch, in odd sizes."""


def tasks(*names, **extra):
    """("inter:like", ...) -> tasks like... of group inter..."""
    return [{"name": name.split(":")[-1], **({"group": name.split(":")[0]} if ":" in name else {}), **extra}
            for name in names]


FOUR = tasks("inter:like", "watch:view", "inter:follow", "watch:finish")
TWO_LAYERS = [{"width": 7, "shared_experts": 2, "group_experts": 1, "feature_rank": 3},
              {"width": 5, "shared_experts": 1, "group_experts": 2, "task_experts": 2, "feature_rank": 2}]


def home(**changes):
    return {"preset": "home", "dense": 11, "tasks": FOUR, "layers": TWO_LAYERS, "tower": {"hidden": [6]}, **changes}


def layers(*changes):
    return [{**layer, **change} for layer, change in zip(TWO_LAYERS, changes)]


EMBEDDED = {
    "preset": "mmoe", "dense": 3, "tasks": FOUR, "layers": [{"width": 6, "shared_experts": 3}],
    "tables": [{"name": "user", "rows": 23, "dim": 3}, {"name": "tag", "rows": 17, "dim": 2, "index": "hashed"}],
    "fields": [{"name": "user"}, {"name": "tag", "pooling": "mean"},
               {"name": "history", "table": "tag", "pooling": "sum"}],
}

CUSTOM = {
    "preset": "custom", "dense": 9, "tasks": tasks("like", "view"),
    "layers": [
        {"width": 6, "feature_gates": True, "feature_rank": 2,
         "units": [{"name": "wide", "experts": 3}, {"name": "side"}, {"name": "keys", "experts": 2}],
         "nodes": [{"name": "mix", "sees": ["keys", "wide"], "gate": ["side", "wide"], "self": "keys"},
                   {"name": "wide", "sees": ["side"], "self": "wide", "self_kind": "static"},
                   {"name": "side", "sees": ["side", "wide", "keys"], "self": "side"}]},
        {"width": 4, "hidden": [5],
         "units": [{"name": "a", "input": "mix", "experts": 2}, {"name": "side"}, {"name": "b", "input": "mix"}],
         "nodes": [{"name": "like", "sees": ["b", "a"]},
                   {"name": "view", "sees": ["side"], "gate": ["b", "side", "a"], "self": "a"}]},
    ],
}

CASES = {
    # HoME and its switches
    "home_odd_sizes": {
        "preset": "home", "dense": 37, "tasks": tasks("a:t0", "b:t1", "c:t2", "a:t3", "b:t4"),
        "layers": [{"width": 19, "shared_experts": 2, "group_experts": 1, "feature_rank": 3},
                   {"width": 11, "feature_rank": 2}], "tower": {"hidden": [7]}},
    "home_defaults": {"dense": 6, "tasks": tasks("like", "view"), "layers": [{"width": 5}, {"width": 3}]},
    "home_hidden_layers": home(
        layers=layers({"hidden": [9], "feature_branches": 1}, {"hidden": [8, 6]}),
        gate={"hidden": [6], "activation": "swish"}, self_gate={"hidden": [4]},
        tower={"hidden": [6, 3], "activation": "swish"}),
    "home_hidden_activations": home(
        layers=layers({"hidden": [6]}, {}), experts={"hidden_activation": "relu"},
        gate={"hidden": [5, 4]}, self_gate={"hidden": [3], "activation": "swish"}, tower={"hidden": [5]}),
    "home_three_branches": home(layers=layers({"feature_branches": 3}, {"feature_branches": 3, "feature_rank": 1})),
    "home_mix_first": home(layers=layers({"feature_branches": 3}, {"feature_branches": 1}),
                           feature_gate={"order": "mix_first"}),
    "home_raw_gates": home(gate={"input": "raw"}),
    "home_raw_self_gates": home(self_gate={"input": "raw"}),
    "home_one_feature_gate": home(layers=layers({}, {"feature_gates": False})),
    "home_no_gates_of_its_own": home(layers=layers({"feature_gates": False}, {"feature_gates": False}),
                                     self_gate={"on": False}),
    "home_plain_experts": home(experts={"norm": "none", "activation": "relu", "hidden_activation": "relu"}),
    "home_norm_switches": home(
        layers=layers({"hidden": [6]}, {}),
        swish_beta=1.7, experts={"bias_before_norm": True, "norm_epsilon": 0.01, "norm_momentum": 0.3},
        tower={"hidden": [4], "activation": "swish"},
        optimizer={"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
    # A batch norm over one input takes away that input's scale: a gradient of 0, which Adam would magnify.
    "home_one_task": home(tasks=tasks("only"), layers=[{"width": 1}, {"width": 3}],
                          optimizer={"kind": "sgd", "learning_rate": 0.05}),
    "home_all_visible": home(layers=layers(
        {"nodes": [{"name": "inter", "sees": ["watch", "shared", "inter"]}]},
        {"nodes": [{"name": name, "sees": ["view", "like", "follow", "finish", "watch", "inter", "shared"]}
                   for name in ("like", "view", "follow", "finish")]})),
    # losses
    "home_uncertainty": home(uncertainty=True, tasks=tasks("inter:like", "inter:follow") + [
        {"name": "seconds", "group": "watch", "loss": "squared", "weight": 0.3},
        {"name": "absent", "group": "watch", "weight": 2}]),
    "cgc_squared": {
        "preset": "cgc", "dense": 7, "layers": [{"width": 5, "shared_experts": 2, "task_experts": 1}],
        "tasks": [{"name": "click", "weight": 1.5}, {"name": "seconds", "loss": "squared", "weight": 0.5}]},
    "mmoe_chain": {
        "preset": "mmoe", "dense": 7, "layers": [{"width": 6, "shared_experts": 3}],
        "tasks": [{"name": "pay", "given": "cart", "weight": 0.7}, {"name": "click"},
                  {"name": "cart", "given": "click"}, {"name": "share"}]},
    # baselines
    "shared_bottom": {"preset": "shared-bottom", "dense": 13, "tasks": FOUR, "layers": [{"width": 6, "hidden": [8]}],
                      "tower": {"hidden": [5]}, "optimizer": {"kind": "sgd", "learning_rate": 0.1}},
    "mmoe_feature_gates": {
        "preset": "mmoe", "dense": 9, "tasks": FOUR, "gate": {"hidden": [5]},
        "layers": [{"width": 6, "shared_experts": 3, "feature_gates": True, "feature_rank": 2}],
        "optimizer": {"kind": "adamw", "learning_rate": 0.01, "weight_decay": 0.1}},
    "mmoe_starred": {
        "preset": "mmoe", "dense": 9, "tasks": FOUR, "layers": [{"width": 6, "hidden": [7], "shared_experts": 3}],
        "experts": {"norm": "batch", "activation": "swish", "hidden_activation": "swish"}},
    "cgc": {"preset": "cgc", "dense": 9, "tasks": FOUR, "tower": {"hidden": [4]},
            "layers": [{"width": 6, "hidden": [7], "shared_experts": 2, "task_experts": 3}],
            "optimizer": {"kind": "adagrad", "learning_rate": 0.05, "weight_decay": 0.01}},
    "cgc_self_gates": {
        "preset": "cgc", "dense": 9, "tasks": FOUR, "self_gate": {"on": True, "input": "raw"},
        "layers": [{"width": 6, "task_experts": 2, "feature_gates": True, "feature_rank": 2}]},
    "ple_two_levels": {
        "preset": "ple", "dense": 9, "tasks": FOUR, "optimizer": {"clip_norm": 0.05},
        "layers": [{"width": 6, "shared_experts": 2, "task_experts": 2}, {"width": 6, "task_experts": 2}]},
    "ple_three_levels": {
        "preset": "ple", "dense": 9, "tasks": tasks("like", "view", "share"), "self_gate": {"on": True},
        "layers": [{"width": 7, "shared_experts": 2, "feature_gates": True, "feature_rank": 2},
                   {"width": 5, "hidden": [6], "task_experts": 2,
                    "nodes": [{"name": "view", "sees": ["like", "shared"]},
                              {"name": "shared", "sees": ["share", "shared", "view"]}]},
                   {"width": 3, "feature_gates": True, "feature_branches": 1}]},
    "adatt_sp": {"preset": "adatt-sp", "dense": 9, "tasks": tasks("like", "view", "share"), "layers": [{"width": 6}]},
    "adatt_sp_two_layers": {
        "preset": "adatt-sp", "dense": 9, "tasks": tasks("like", "view", "share"),
        "layers": [{"width": 6, "task_experts": 2}, {"width": 4}]},
    "adatt": {"preset": "adatt", "dense": 9, "tasks": tasks("like", "view", "share"),
              "layers": [{"width": 6, "shared_experts": 2}, {"width": 4}]},
    "adatt_feature_gates": {
        "preset": "adatt", "dense": 9, "tasks": tasks("like", "view"), "tower": {"hidden": [4]},
        "experts": {"norm": "batch"},
        "layers": [{"width": 6, "task_experts": 2, "feature_gates": True, "feature_rank": 2},
                   {"width": 4, "shared_experts": 3, "task_experts": 2, "feature_gates": True, "feature_branches": 1}]},
    "adatt_no_self": {"preset": "adatt", "dense": 9, "tasks": tasks("like", "view"), "self_gate": {"on": False},
                      "layers": [{"width": 6, "task_experts": 2}, {"width": 4, "task_experts": 2}]},
    "custom": CUSTOM,
    "custom_raw_gates": {**CUSTOM, "gate": {"input": "raw"},
                         "experts": {"norm": "batch", "activation": "swish", "hidden_activation": "swish"}},
    # embeddings
    "embeddings": EMBEDDED,
    "embeddings_adagrad": {**EMBEDDED, "optimizer": {"embedding_kind": "adagrad", "embedding_learning_rate": 0.05}},
    "embeddings_adam": {**EMBEDDED, "optimizer": {"embedding_kind": "adam", "clip_norm": 0.1, "weight_decay": 0.01}},
    "embeddings_alone": {
        "preset": "home", "tasks": tasks("inter:like", "watch:view"), "tables": EMBEDDED["tables"],
        "fields": EMBEDDED["fields"], "layers": [{"width": 5}, {"width": 3}],
        "optimizer": {"embedding_learning_rate": 0.1}},
}
