"""The configuration of a model: defaults, and the presets written out as layers of units and nodes.

The JSON is the one of home_model_create_json() in include/home/home.h.
"""

SHARED = "shared"


def with_defaults(config):
    """Returns the configuration with all defaults filled in. A complete one, as in a checkpoint, does not change."""
    preset = config.get("preset", "home")
    home = preset == "home"
    fields = [{"table": field["name"], "pooling": "sum", **field} for field in config.get("fields", [])]
    tables = [{"index": "direct", "init_std": 0.01, **table} for table in config.get("tables", [])]
    tasks = [{"group": "all", "weight": 1, "loss": "bce", "base_rate": 0 if task.get("loss") == "squared" else 0.5,
              **task} for task in config["tasks"]]
    dims = {table["name"]: table["dim"] for table in tables}
    width = config.get("dense", 0) + sum(dims[field["table"]] for field in fields)
    layers = []
    for index, layer in enumerate(config["layers"]):
        layers.append(_layer_with_defaults(layer, preset, index, width))
        width = layer["width"]
    activation = "swish" if home else "relu"
    gate = {"hidden": [], "activation": "relu", "input": "gated"}
    return {
        "preset": preset, "seed": config.get("seed", 0), "dense": config.get("dense", 0),
        "tables": tables, "fields": fields, "tasks": tasks, "layers": layers,
        "swish_beta": config.get("swish_beta", config.get("experts", {}).get("swish_beta", 1)),  # 0.1 had it there
        "experts": {"norm": "batch" if home else "none", "activation": activation, "hidden_activation": activation,
                    "bias_before_norm": False, "norm_epsilon": 1e-5, "norm_momentum": 0.1,
                    **config.get("experts", {})},
        "feature_gate": {"order": "sigmoid_first", "init": "zero", **config.get("feature_gate", {})},
        "gate": {**gate, **config.get("gate", {})},
        "self_gate": {"on": preset in ("home", "adatt", "adatt-sp", "custom"), **gate, **config.get("self_gate", {})},
        "tower": {"hidden": [], "activation": "relu", **config.get("tower", {})},
        "uncertainty": config.get("uncertainty", False),
        "optimizer": _optimizer_with_defaults(config.get("optimizer", {})),
    }


def _layer_with_defaults(layer, preset, index, width):
    """width: the width of the layer's input"""
    branches = layer.get("feature_branches") or 2
    layer = {"hidden": [], "feature_gates": preset == "home", **layer}
    exists = {
        "shared_experts": preset not in ("adatt-sp", "custom"),
        "group_experts": preset == "home",
        "task_experts": preset in ("cgc", "ple", "adatt-sp", "adatt") or preset == "home" and index > 0,
    }
    for count, used in exists.items():
        layer[count] = (layer.get(count) or 1) if used else 0
    layer["feature_branches"] = branches
    layer["feature_rank"] = layer.get("feature_rank") or max(1, width // branches)
    if "units" in layer:
        layer["units"] = [{"experts": 1, "width": layer["width"], **unit} for unit in layer["units"]]
    if "nodes" in layer:
        layer["nodes"] = [{"self_kind": "gate", **node} if preset == "custom" else node for node in layer["nodes"]]
    return layer


def _optimizer_with_defaults(optimizer):
    adagrad = optimizer.get("kind") == "adagrad"
    embedding_adagrad = optimizer.get("embedding_kind") == "adagrad"
    return {"kind": "adam", "embedding_kind": "rowwise_adagrad", "learning_rate": 0.01 if adagrad else 0.001,
            "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-10 if adagrad else 1e-8, "momentum": 0,
            "weight_decay": 0.01 if optimizer.get("kind") == "adamw" else 0, "clip_norm": 0,
            "embedding_learning_rate": 0.01, "embedding_epsilon": 1e-10 if embedding_adagrad else 1e-8, **optimizer}


def groups_of(config):
    """The groups of the tasks, in order of first appearance."""
    return list(dict.fromkeys(task["group"] for task in config["tasks"]))


def topology(config):
    """Returns the layers as the preset `custom` would list them: units with `name`, `input`, `experts`; nodes with
    `name`, `sees`, `gate`, `self`, `self_kind`.

    Only presets have `gate` None (no gate: weight 1) and `self_kind` "one" (own experts added with weight 1).
    `raw_gate` makes a gate read raw inputs, whatever the configuration says.
    """
    layers = []
    for index, layer in enumerate(config["layers"]):
        units, nodes = _LAYERS[config["preset"]](config, index)
        if config["preset"] != "custom":
            masks = {node["name"]: node["sees"] for node in layer.get("nodes", [])}
            nodes = [{**node, "sees": masks.get(node["name"], node["sees"])} for node in nodes]
        if not config["self_gate"]["on"]:
            nodes = [{**node, "self": None} for node in nodes]
        layers.append((units, nodes))
    return layers


def _unit(name, experts, source=None):
    return {"name": name, "input": source or name, "experts": experts}


def _node(name, sees, gate, own, kind="gate", raw_gate=False):
    return {"name": name, "sees": sees, "gate": gate, "self": own, "self_kind": kind, "raw_gate": raw_gate}


def _home(config, index):
    layer, groups, tasks = config["layers"][index], groups_of(config), config["tasks"]
    units = [_unit(SHARED, layer["shared_experts"])] + [_unit(group, layer["group_experts"]) for group in groups]
    if index == 0:
        nodes = [_node(SHARED, [SHARED, *groups], [SHARED], SHARED)]
        return units, nodes + [_node(group, [SHARED, group], [group], group) for group in groups]
    units += [_unit(task["name"], layer["task_experts"], task["group"]) for task in tasks]
    return units, [_node(task["name"], [SHARED, task["group"], task["name"]], [task["name"], SHARED], task["name"])
                   for task in tasks]


def _shared_only(config, index):
    gate = [SHARED] if config["preset"] == "mmoe" else None
    return ([_unit(SHARED, config["layers"][index]["shared_experts"])],
            [_node(task["name"], [SHARED], gate, None, raw_gate=True) for task in config["tasks"]])


def _progressive(config, index):
    layer, names = config["layers"][index], [task["name"] for task in config["tasks"]]
    units = [_unit(SHARED, layer["shared_experts"])] + [_unit(name, layer["task_experts"]) for name in names]
    nodes = [_node(name, [SHARED, name], [name], name) for name in names]
    if index < len(config["layers"]) - 1:
        nodes.append(_node(SHARED, [SHARED, *names], [SHARED], SHARED))
    return units, nodes


def _adaptive(config, index):
    layer, names = config["layers"][index], [task["name"] for task in config["tasks"]]
    units = [_unit(name, layer["task_experts"]) for name in names]
    if config["preset"] == "adatt":
        units.insert(0, _unit(SHARED, layer["shared_experts"]))
        if index < len(config["layers"]) - 1:
            names.append(SHARED)
    kind = "one" if all(unit["experts"] == 1 for unit in units) else "static"
    return units, [_node(name, [unit["name"] for unit in units], [name], name, kind) for name in names]


def _custom(config, index):
    layer = config["layers"][index]
    units = [_unit(unit["name"], unit["experts"], unit.get("input")) for unit in layer["units"]]
    names = [unit["name"] for unit in units]
    nodes = []
    for node in layer["nodes"]:
        usual = [node["name"] if node["name"] in names else node["sees"][0]]
        nodes.append(_node(node["name"], node["sees"], node.get("gate") or usual, node.get("self"), node["self_kind"]))
    return units, nodes


_LAYERS = {"home": _home, "shared-bottom": _shared_only, "mmoe": _shared_only, "cgc": _progressive,
           "ple": _progressive, "adatt-sp": _adaptive, "adatt": _adaptive, "custom": _custom}
