"""The process that lets a model answer prompts, with the transformers of the toolkit's environment. Started by drive.py
as child.py is; plan: {"model", "prompts", "out", "new_tokens", "temperature", "dtype", "threads",
"trust_remote_code"}."""
import json
import os
import sys
import traceback


def load(plan, torch):
    import transformers
    common = {"local_files_only": True, "trust_remote_code": plan["trust_remote_code"]}
    tokenizer = transformers.AutoTokenizer.from_pretrained(plan["model"], **common)
    # `torch_dtype` until transformers 4.55, `dtype` since.
    release = tuple(int(x) for x in transformers.__version__.split(".")[:2])
    name = "dtype" if release >= (4, 56) else "torch_dtype"
    # Never a pickle.
    model = transformers.AutoModelForCausalLM.from_pretrained(
        plan["model"], use_safetensors=True, **dict(common, **{name: getattr(torch, plan["dtype"])}))
    return tokenizer, model.eval()


def answer(plan, torch, tokenizer, model, prompt, seed):
    """{"input": the prompt as the model sees it, "target": what it says}."""
    templated = bool(getattr(tokenizer, "chat_template", None))
    if templated:
        prompt = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], tokenize=False,
                                               add_generation_prompt=True)
    # A template has the special tokens already.
    tokens = tokenizer(prompt, return_tensors="pt", add_special_tokens=not templated)
    ids = tokens["input_ids"]
    torch.manual_seed(seed)
    with torch.no_grad():
        made = model.generate(ids, attention_mask=tokens["attention_mask"], max_new_tokens=plan["new_tokens"],
                              do_sample=True, temperature=plan["temperature"],
                              pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None
                              else tokenizer.eos_token_id)
    target = tokenizer.decode(made[0][ids.shape[1]:], skip_special_tokens=True)
    return {"input": prompt, "target": target}, templated


def main(argv):
    with open(argv[1], encoding="utf-8") as f:
        plan = json.load(f)
    sys.path[0:1] = []  # this file's folder
    sys.path += plan["paths"]
    from quern_rkllm import child
    tell = child.Teller(int(argv[2]))
    child.die_with_parent(plan["parent"])
    child.ask_nobody()
    good = False
    try:
        tell("call", name="load", kwargs=[], declared=[])
        import torch
        torch.set_num_threads(max(1, plan["threads"]))
        tokenizer, model = load(plan, torch)
        tell("returned", value=0)
        tell("call", name="generate", kwargs=[], declared=[])
        rows = []
        for i, prompt in enumerate(plan["prompts"]):
            row, templated = answer(plan, torch, tokenizer, model, prompt, i)
            rows.append(row)
            if i == 0 and not templated:
                tell("warning", text="the model has no chat template: its prompts are plain text")
            tell("progress", stage="generate", done=i + 1, total=len(plan["prompts"]))
        if all(not row["target"].strip() for row in rows):
            tell("refused", text="the model answers nothing to any prompt; it is damaged or no chat model")
        else:
            with open(plan["out"], "w", encoding="utf-8") as f:
                json.dump(rows, f, ensure_ascii=False, indent=1)
                f.write("\n")
                f.flush()
                os.fsync(f.fileno())
            tell("returned", value=0)
            good = True
        tell("done", good=good)
    except BaseException as why:  # as child.py
        traceback.print_exc()
        tell("raised", type=type(why).__name__, text=str(why)[:1000])
    child.flush_all()
    os._exit(0 if good else 1)


if __name__ == "__main__":
    main(sys.argv)
