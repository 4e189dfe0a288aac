"""What passes through a model cost: whole prompts, arms that share one, rows from some layer on."""

from dataclasses import dataclass

from neuron_atlas.costs.amount import Amount
from neuron_atlas.costs.model_shape import ModelShape
from neuron_atlas.costs.run_size import RunSize
from neuron_atlas.scoring.normaliser import LIKELY, SAMPLED, WORTH

SEQUENCE = 256  # tokens of a sequence in which arms share their prompt
CLEAN_ROWS = 4  # rows over the whole vocabulary that a clean row and its two audited ones cost
VARIED = 4096  # tokens of a vocabulary from which on the sampled ones stand for the rest
HALF = 0.5  # of the layers: what a row passes on average that enters at each layer in turn
OFF, INSTALLED = 0.07, 0.4  # shares of the candidates that an arm leaves in doubt
BOTH = 2  # a pass forward and one back cost twice the one


@dataclass(frozen=True)
class Work:
    """What a stage computes.

    Attributes:
        body: FLOPs of matrix products in the model's blocks, and others of their kind.
        rows: The same of passes of single positions from some layer on, forward and back: they are
            multiplied in smaller pieces.
        head: FLOPs of products with the embeddings of the vocabulary.
        compared: Pairs of neuron values that are compared, when neurons are ranked.
    """

    body: Amount = 0.0
    rows: Amount = 0.0
    head: Amount = 0.0
    compared: Amount = 0.0

    def __add__(self, other: "Work") -> "Work":
        """Return both together."""
        return Work(
            self.body + other.body,
            self.rows + other.rows,
            self.head + other.head,
            self.compared + other.compared,
        )

    def __mul__(self, times: Amount) -> "Work":
        """Return it so many times."""
        return Work(*(times * x for x in (self.body, self.rows, self.head, self.compared)))

    @property
    def flops(self) -> Amount:
        """FLOPs of all products."""
        return self.body + self.rows + self.head


@dataclass(frozen=True)
class Passes:
    """The passes of a model over prompts of a run.

    Attributes:
        shape: The model.
        size: The run.
        softcap: Whether the logits are squashed: then no normaliser is taken from a near one.
    """

    shape: ModelShape
    size: RunSize
    softcap: bool = False

    @property
    def whole(self) -> Amount:
        """Tokens of a prompt that nothing shares: all of them."""
        return self.size.prompt_tokens

    @property
    def own(self) -> Amount:
        """Tokens that a prompt among many adds: an encoder shares no beginnings."""
        return self.whole if self.shape.encoder else self.size.own_tokens

    def tokens(self, n: Amount) -> Work:
        """Return the way of `n` tokens through all blocks."""
        return Work(body=n * self.shape.token(self.whole))

    def prompts(self, n: Amount) -> Work:
        """Return a pass over `n` prompts, without the head."""
        return self.tokens(n * self.own)

    def head(self, n: Amount) -> Work:
        """Return `n` positions' sums over the whole vocabulary."""
        return Work(head=n * self.shape.head_row)

    def layer_rows(self, n: Amount, *, back: bool) -> Work:
        """Return `n` rows of one position that enter at each layer in turn, perhaps with gradients.

        In an encoder a row is the whole prompt.
        """
        width = self.whole if self.shape.encoder else 1
        return Work(rows=n * width * HALF * self.shape.token(self.whole) * (BOTH if back else 1))

    def full_rows(self, n: Amount, *, back: bool) -> Work:
        """Return `n` rows of one position through all layers, perhaps with gradients."""
        return self.layer_rows(n / HALF, back=back)

    def moves(self, n: Amount) -> Work:
        """Return what `n` arms add to the outputs of all MLPs: a product with each down-projection.

        Pushes are made equal by it (`arms.push.CleanValues.moves`).
        """
        return Work(body=2.0 * n * self.shape.all_neurons * self.shape.d_model)

    def nearby(self, *, weak: bool) -> bool:
        """Say whether normalisers are taken near a clean row's; else each is summed in full."""
        may = not self.softcap and not self.shape.encoder
        return may and (weak or self.shape.vocabulary >= VARIED)

    def asked(
        self,
        prompts: Amount,
        arms: Amount,
        *,
        context: Amount = 0.0,
        rivals: Amount = 0.0,
        weak: bool = False,
    ) -> Work:
        """Return prompts that are asked under arms at the answer position, and without any.

        An arm costs the answer position and the answer's inner tokens; the prompt costs its tokens
        once for each sequence. A sequence's clean row is described over the vocabulary; the arms'
        normalisers are then taken near it (`scoring.normaliser`), which costs each its likely and
        its sampled tokens, or all of them where few arms share a sequence.

        Args:
            prompts: How many.
            arms: Of each.
            context: Tokens before each prompt, such as demonstrations, run once per sequence.
            rivals: Inner tokens of other candidates that are scored for each arm, where it is in
                doubt which one is the best.
            weak: Whether arms move little, as single neurons do: near even in a small vocabulary.
        """
        answer, before = self.size.answer_tokens, self.whole + context
        if self.shape.encoder:
            n = prompts * (1 + arms)
            return self.tokens(n * (before + answer)) + self.head(n * answer)
        each = answer + rivals
        sequences = max(1.0, (1 + arms) * each / max(1.0, SEQUENCE - before))
        own = sequences * (self.own + context) + (sequences + arms) * each
        near = arms / sequences > WORTH and self.nearby(weak=weak)
        beside = CLEAN_ROWS * sequences + arms * (1 / LIKELY + 1 / SAMPLED)
        rows = each * (beside if near else sequences + arms)
        return self.tokens(prompts * own) + self.head(prompts * rows)

    def measured(
        self, prompts: Amount, arms: Amount, *, context: Amount = 0.0, rivals: Amount = OFF
    ) -> Work:
        """Return arms of equal push on prompts: `asked`, with a clean pass and the arms' moves.

        Args:
            prompts: How many.
            arms: Of each.
            context: As in `asked`.
            rivals: Share of all candidates that are scored to their ends for each arm.
        """
        clean = self.tokens(prompts * (self.own + context))
        tokens = rivals * self.size.candidates * self.size.inner_tokens
        asked = self.asked(prompts, arms, context=context, rivals=tokens)
        return asked + clean + self.moves(prompts * arms)
