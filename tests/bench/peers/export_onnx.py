"""Writes the exported models as ONNX graphs in three styles: FOLDER/NAME.STYLE.onnx. usage: export_onnx.py FOLDER"""

import sys
import warnings

import torch

from fused import Fused, Predict
from peer import Subject

warnings.filterwarnings("ignore")
folder = sys.argv[1]
for name in "SML":
    subject = Subject(folder, name)
    styles = {"plain": subject.model, "fused-2d": Fused(subject.model, True, "2d"),
              "fused-bmm": Fused(subject.model, True, "bmm")}
    for style, model in styles.items():
        torch.onnx.export(Predict(model).eval(), subject.rows[:3], f"{folder}/{name}.{style}.onnx", opset_version=14,
                          input_names=["v"], output_names=["p"],
                          dynamic_axes={"v": {0: "rows"}, "p": {0: "rows"}})
