"""The models of the study: the part "model" in a recipe of `home train`.

Every model is two layers deep, and all its experts have one width. The models differ in which nodes see which units,
and in the cures. Gates, towers and feature gates are those of ../kuairand.json.
"""

CURED = {"norm": "batch", "activation": "swish", "hidden_activation": "swish"}
PLAIN = {"norm": "none", "activation": "relu", "hidden_activation": "relu"}
RANK = 8  # of HoME's feature gates


def one_layer(preset, shared_experts=1, task_experts=1, hidden=1, **more):
    """A single layer of experts, with a hidden layer that makes it as deep as the others."""
    return lambda width, wider: {
        "preset": preset, **more,
        "layers": [{"width": width, "hidden": [width] * hidden, "shared_experts": shared_experts * wider,
                    **({} if preset == "mmoe" or preset == "shared-bottom" else
                       {"task_experts": task_experts * wider})}]}


def layers(preset, depth=2, hidden=0, **more):
    layer = {"adatt": ("shared_experts", "task_experts"), "adatt-sp": ("task_experts",),
             "ple": ("shared_experts", "task_experts")}[preset]
    return lambda width, wider: {
        "preset": preset, **more,
        "layers": [{"width": width, "hidden": [width] * hidden, **{kind: wider for kind in layer}}
                   for _ in range(depth)]}


def home(hidden=0, gates=True, **more):
    def model(width, wider):
        gate = {"feature_rank": RANK} if gates else {"feature_gates": False}
        first = {"width": width, "hidden": [width] * hidden, "shared_experts": wider, "group_experts": wider, **gate}
        return {"preset": "home", **more, "layers": [first, {**first, "task_experts": wider}]}
    return model


# By name in results and tables, in the order of training.
MODELS = {
    "HoME": home(),
    "MMoE, cured": one_layer("mmoe", 4, experts=CURED),
    "shared bottom": one_layer("shared-bottom"),
    "PLE, cured": layers("ple", experts=CURED),
    "MMoE": one_layer("mmoe", 4),
    "PLE": layers("ple"),
    "AdaTT, cured": layers("adatt", experts=CURED),
    "AdaTT": layers("adatt"),
    "CGC, cured": one_layer("cgc", experts=CURED),
    "CGC": one_layer("cgc"),
    "shared bottom, cured": one_layer("shared-bottom", experts=CURED),
    "HoME, flat": home(),
    "HoME, no feature gates": home(gates=False),
    "HoME, no self gates": home(self_gate={"on": False}),
    "HoME, no norm and ReLU": home(experts=PLAIN),
}
FLAT = {"HoME, flat"}  # all tasks are one group

# For the tables of wider and deeper mixtures.
DEEPER = {
    "HoME": home(hidden=1),
    "MMoE, cured": one_layer("mmoe", 4, hidden=2, experts=CURED),
    "PLE, cured": layers("ple", hidden=1, experts=CURED),
    "MMoE": one_layer("mmoe", 4, hidden=2),
    "PLE": layers("ple", hidden=1),
}


def configuration(name, width, learning_rate, embedding_learning_rate, wider=1, deeper=False):
    model = (DEEPER if deeper else MODELS)[name](width, wider)
    return {**model, "tower": {"hidden": [16]},
            "optimizer": {"learning_rate": learning_rate, "embedding_learning_rate": embedding_learning_rate}}
