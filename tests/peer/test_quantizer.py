"""Against llama.cpp's whole quantizer (llama_model_quantize), fed with our BF16 file: it takes the file, and our
quantized files predict the held-out text as well as the ones that it makes."""
import llama
from outlines import WITH_IMPORTANCES, Wanted, importances, same_outlines, theirs
from peer import KJV, convert, fake, run_all

QUANTS = ("Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_1", "Q4_0", "IQ4_NL", "IQ4_XS", "Q3_K_L",
          "Q3_K_M", "Q3_K_S", "Q2_K", "IQ3_M", "IQ3_S", "TQ1_0", "TQ2_0", "MXFP4_MOE", "Q2_0", "Q1_0")
RAGGED = ("Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "IQ4_XS", "IQ3_S", "TQ2_0", "Q2_0")  # it refuses Q1_0
# One of each family: a prediction of the whole text takes seconds. The ternary types are for models that were trained so.
PREDICTED = ["Q8_0", "Q6_K", "Q5_K_M", "Q5_0", "Q4_K_M", "Q4_0", "IQ4_XS", "Q3_K_M", "Q2_K"]
TEXT = (KJV / "heldout.txt").read_text()


def test_same_tensors_types_and_order():
    """Every mix; grouped keys and enough layers for every rule; rows that are no multiple of 256. Of zeros: only the plan
    counts here, and its encoders of the small types take seconds for anything else."""
    same_outlines(*(Wanted(quant) for quant in ("Q8_0", "Q4_0", "Q4_K_M")))
    grouped = fake("llama-tiny:fill=zero,layers=17,hidden=256,heads=8,kv_heads=2,tie=false", "grouped")
    same_outlines(*(Wanted(quant, grouped) for quant in QUANTS))
    ragged = fake("llama-tiny:fill=zero,layers=9,hidden=256,ffn=288,heads=8,kv_heads=4,tie=true", "ragged")
    same_outlines(*(Wanted(quant, ragged) for quant in RAGGED))
    small = "llama-tiny:fill=zero,layers=9,hidden=256,ffn=256,heads=8,"
    groups, pairs = fake(small + "kv_heads=2,tie=false", "groups"), fake(small + "kv_heads=4,tie=true", "pairs")
    weigh = {source: importances(source) for source in (groups, pairs, ragged)}
    same_outlines(*(Wanted(quant, source, weigh[source]) for source, quants in (
        (groups, (*WITH_IMPORTANCES, "Q4_0")), (pairs, ("IQ3_XS", "IQ2_M", "IQ2_XXS", "IQ1_M", "IQ3_M", "IQ3_S")),
        (ragged, ("IQ3_XXS", "IQ1_M"))) for quant in quants))


def test_what_a_user_may_want_instead():
    ways = (("pure=true",), ("leave_output=true",), ("output_type=Q8_0",), ("token_embedding_type=Q4_0",),
            ("output_type=Q8_0", "token_embedding_type=Q6_K"), ("pure=true", "output_type=Q8_0"),
            ("pure=true", "token_embedding_type=Q8_0"), ("pure=true", "leave_output=true"))
    for tied in ("true", "false"):
        source = fake(f"llama-tiny:fill=zero,layers=9,hidden=256,ffn=288,heads=8,kv_heads=4,tie={tied}", f"tied-{tied}")
        same_outlines(*(Wanted(quant, source, None, settings) for settings in ways for quant in ("Q4_K_M", "Q2_K")))


def predictions(path):
    m = llama.Model(path)
    found = m.predictions(m.tokenize(TEXT), every=2)
    m.close()
    return found


def test_predictions_are_not_worse_than_theirs():
    """How far predictions are from those of the weights as they are tells two files apart where perplexity cannot: a
    chance error that points along the gradient of a small text moves that by some tenths of a percent either way."""
    exact, tokens = predictions(convert(KJV, "F32"))
    for quant in PREDICTED:
        found = [predictions(path)[0] for path in (convert(KJV, quant), *theirs(Wanted(quant)))]
        ours, peer = [llama.divergence(exact, x) for x in found]
        perplexity = [llama.perplexity(x, tokens) for x in found]
        print(f"  {quant}: divergence {ours:.6f}, llama_model_quantize's file {peer:.6f}; perplexity {perplexity[0]:.4f}, "
              f"{perplexity[1]:.4f}; without loss {llama.perplexity(exact, tokens):.4f}")
        assert ours <= 1.03 * peer, (quant, ours, peer)
        assert perplexity[0] <= perplexity[1] * 1.006, (quant, perplexity)


run_all(globals())
