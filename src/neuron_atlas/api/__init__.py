"""The public names: text in, arrays out, in the order of what came in.

`prompts` is one text or several. Of one text the result has no `prompt` axis; of several it has one
row per prompt, in their order. A prompt ends where the answer begins, without a space; in an
encoder `{object}` may mark the place of the answer amid the text. An answer is written as it
continues the prompt, its space included: "The capital of France is", " Paris". The *answer
position* is a decoder's last prompt token and an encoder's mask.

A neuron is one hidden unit: the input coordinate `index` of layer `layer`'s down-projection, that
is act(gate) * up in a gated MLP and act(W_in x) in a plain one. Log-probabilities are in nats.
"""
