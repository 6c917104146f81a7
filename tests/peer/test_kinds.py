"""The rules of llama.cpp's quantizer that ask what kind of model it is: our files have the types that its files have."""
from outlines import WITH_IMPORTANCES, Wanted, importances, same_outlines
from peer import fake, run_all

# Eight experts, and one that is shared; four; Falcon; 80 layers with grouped keys and without; q, k and v in one; keys and values
# from a latent vector.
KINDS = (
    ("qwen2-moe", "layers=9,heads=8,kv_heads=4", ("Q8_0", "Q4_0", "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M",
                                                  "Q5_K_M", "IQ4_XS", "IQ3_M", "MXFP4_MOE", "TQ1_0", "Q2_K_S", "IQ3_XS", "IQ2_XXS")),
    ("mixtral", "layers=9,heads=8,kv_heads=4", ("Q2_K", "Q4_K_M", "MXFP4_MOE", "IQ2_XXS")),
    ("falcon", "layers=17", ("Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_M", "IQ3_M", "IQ2_M")),
    ("llama", "layers=80,heads=8,kv_heads=4,tie=false", ("Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_M")),
    ("llama", "layers=80,heads=8,kv_heads=8,tie=false", ("Q3_K_M",)),
    ("qwen2", "layers=80,heads=8,kv_heads=8,tie=false", ("Q2_K", "Q3_K_M")),
    ("gpt2", "layers=9", ("Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M")),
    ("phi3", "layers=9,heads=8", ("Q2_K", "Q4_K_M")),
    ("minicpm3", "layers=9", ("Q2_K", "Q3_K_M", "Q4_K_M", "IQ4_XS")),
    ("deepseek2", "layers=9", ("Q2_K", "Q3_K_M", "Q4_K_M", "MXFP4_MOE")))


def test_rules_of_kinds_of_models():
    wanted = []
    for i, (preset, shape, quants) in enumerate(KINDS):
        ffn = 1024 if preset in ("gpt2", "falcon") else 256
        # Of zeros: only the plan counts.
        source = fake(f"{preset}-tiny:fill=zero,hidden=256,ffn={ffn},{shape}", f"{preset}-{i}")
        imatrix = importances(source) if set(quants) & set(WITH_IMPORTANCES) else None
        wanted += [Wanted(quant, source, imatrix if quant in WITH_IMPORTANCES else None) for quant in quants]
    same_outlines(*wanted)


run_all(globals())
