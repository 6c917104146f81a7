"""What can be made to go wrong: name -> (step, act). An act prints or ends the process as the reports of real
failures describe; it returns the step's code, or None to go on."""
import os
import resource
import signal
import sys
import time

LOST = 150  # weights that are not found


def _say(*lines, code=-1):
    def act(_toolkit):
        for line in lines:
            print(line, flush=True)
        return code
    return act


def _raise(why):
    def act(_toolkit):
        raise why
    return act


def _catch(step, text):
    return _say("ERROR: Catch exception when %s model: %s" % (step, text))


def _kill(number):
    def act(_toolkit):
        print("Optimizing model:  88%|########8 | 22/25 [10:00<01:21]", end="\r", file=sys.stderr, flush=True)
        os.kill(os.getpid(), number)
        time.sleep(60)
    return act


def _eat_memory(toolkit):
    """Until there is none, of a quarter of a gigabyte more than is in use."""
    with open("/proc/self/statm", "rb") as f:
        used = int(f.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), used + (256 << 20)))
    while True:
        toolkit.kept.append(bytearray(32 << 20))


def _hang(_toolkit):
    time.sleep(3600)


def _busy(_toolkit):
    """Computes for a while without a word."""
    end = time.monotonic() + 3
    while time.monotonic() < end:
        pass


def _exit_zero(_toolkit):
    os._exit(0)


def _set(name, value):
    def act(toolkit):
        setattr(toolkit, name, value)
    return act


def _lose(count, code):
    def act(_toolkit):
        for i in range(count):
            print("WARNING: Not found the weight of model.layers.%d.mlp.gate_proj.weight" % i)
        return code
    return act


def _ask(_toolkit):
    input("The repository contains custom code. Do you wish to run the custom code? [y/N] ")


def _prompt_token(_toolkit):
    import getpass
    getpass.getpass("Token: ")


def _write_outside(toolkit):
    with open(os.path.join(toolkit.model, "written-by-the-toolkit"), "w", encoding="ascii") as f:
        f.write("x")


ACTS = {
    "killed": ("build", _kill(signal.SIGKILL)),
    "killed_at_export": ("export", _kill(signal.SIGKILL)),
    "segfault": ("build", _kill(signal.SIGSEGV)),
    "hang": ("build", _hang),
    "busy": ("build", _busy),
    "no_memory": ("build", _eat_memory),
    "cannot_allocate": ("load", _catch("loading", "DefaultCPUAllocator: can't allocate memory: you tried to allocate "
                                       "33554432 bytes.")),
    "disk_full": ("export", _say("ERROR: Not enough free space to write 4294967296 bytes")),
    "unknown_class": ("load", _say("ERROR: Not support FooForCausalLM!")),
    "cannot_load": ("load", _say("ERROR: Can not load QWenLMHeadModel!")),
    "key_error": ("load", _raise(KeyError("qwen9"))),
    "size_mismatch": ("load", _catch("loading", "size mismatch for lm_head.weight: copying a param with shape [2, 2]")),
    "lost_weights": ("load", _lose(LOST, -1)),
    "lost_weights_and_0": ("load", _lose(LOST, None)),
    "lost_one_weight": ("load", _lose(1, None)),
    "dtype_of_platform": ("build", _say("ERROR: target_platform: rk3588 not support quantized_dtype: w4a16!")),
    "group_size": ("build", _catch("optimizing", "output dim 2052 can not be evenly divided into group_size 32")),
    "bitsandbytes": ("load", _catch("loading", "No package metadata was found for bitsandbytes")),
    "renamed": ("build", _catch("optimizing", "'mlp.down_proj'")),
    "truncated": ("load", _catch("loading", "Expecting value: line 1 column 1 (char 0)")),
    "rope_scaling": ("load", _catch("loading", "`rope_scaling` must be a dictionary with two fields, `type` and `factor`")),
    "model_wrapper": ("load", _catch("loading", "data did not match any variant of untagged enum ModelWrapper at line "
                                     "1251003 column 3")),
    "lora_layer": ("load", _say("ERROR: Found unsupported layer: model.layers.0.self_attn.q_proj.lora_A.default")),
    "gguf_type": ("load", _say("ERROR: unsupported GGMLQuantizationType: output.weight -> Q6_K")),
    "no_module": ("load", _raise(ModuleNotFoundError("No module named 'pkg_resources'"))),
    "other_exception": ("build", _catch("converting", "something nobody has reported")),
    "invalid_model": ("export", _say("E rkllm: invalid rkllm model!")),
    "gibberish": ("export", _say("[PAD151645][PAD151645][PAD151645][PAD151645]")),
    "ask": ("load", _ask),
    "ask_token": ("load", _prompt_token),
    "exit_0": ("build", _exit_zero),
    "exit_0_at_export": ("export", _exit_zero),
    "system_exit": ("build", _raise(SystemExit(0))),
    "returns_none": ("build", _set("answer_none", True)),
    "no_file": ("export", _set("no_file", True)),
    "no_line": ("export", _set("no_line", True)),
    "saved_elsewhere": ("export", _set("line_path", "/somewhere/else.rkllm")),
    "small_file": ("export", _set("share", 0.1)),
    "zero_file": ("export", _set("zeros", True)),
    "other_dtype": ("export", _set("file_dtype", "w8a8")),
    "sixteen_bits": ("export", _set("file_dtype", "w16a16")),
    "other_dtype_said": ("export", _say("INFO: model_dtype: W8A8, target_platform: RK3588", code=None)),
    "other_platform": ("export", _set("file_platform", "rk3562")),
    "claims_release": ("export", _set("no_marker", True)),
    "other_version": ("load", _say("INFO: rkllm-toolkit version: 1.0.1", code=None)),
    "much_text": ("build", _say(*["INFO: layer %d of very many is being looked at" % i for i in range(3000)], code=None)),
    "write_to_source": ("build", _write_outside),
}
