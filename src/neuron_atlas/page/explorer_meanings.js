// What each part of a card means, in plain words.

const MEANINGS = {
  massive: [
    "Its values are far above those of its layer’s other neurons. Changing such a neuron can disturb",
    "the model as a whole, so an effect of it says little about facts.",
  ].join(" "),
  writes: [
    "The neuron adds one fixed direction to the model’s computation. It is shown as it points where",
    "the neuron’s best relation is asked, where its value moves up or down; for a neuron without a",
    "relation, as its mean value points. Read through the model’s own last norm and unembedding, it",
    "raises the tokens promoted here and lowers those suppressed. ␣ is a space. The figures order the",
    "tokens and have no unit: what the norms divide by is left out.",
  ].join(" "),
  writesDetected: [
    "The chance that a token which begins one of the relation’s answers is promoted above one which",
    "begins another relation’s answers: 0.5 is chance, 1 is always. Beside it the mean of random",
    "neurons of the same layer, and the share of them that reach as much (p). This p is of the one",
    "neuron: of 100 neurons that write nothing of the kind, 5 are below 0.05.",
  ].join(" "),
  detects: [
    "How well its value tells a relation’s prompts from all others: average precision, 1 is perfect;",
    "the stronger the colour, the better. Below it, its mean value on the relation’s prompts that",
    "were answered right | on other relations’.",
  ].join(" "),
  prompts: [
    "Its values at the position where the answer begins. A neuron for a relation is strong on that",
    "relation’s prompts, whatever they are about.",
  ].join(" "),
  effects: [
    "Change of the right answer’s log-probability when this neuron alone is switched off, in nats,",
    "with its 95 % interval where several prompts were asked: below 0 the answer became less",
    "probable. An interval that holds 0 means that no effect was seen. It is of this one neuron:",
    "of 100 that do nothing, 5 exclude 0.",
  ].join(" "),
  partners: [
    "Degenerate partners stand in for this neuron: the answer of the fact suffers only when both are",
    "switched off, by the interaction beyond the sum of their effects. Co-selected ones are in the",
    "same sets; the count expected by chance stands beside it.",
  ].join(" "),
  noPartners: [
    "None was found: no neuron stands in for it, and none shares its sets more often than by chance.",
  ].join(" "),
  memberships: [
    "Rank 1 is the first neuron of the set. What a score is, and whether there is one, depends on the",
    "kind of set.",
  ].join(" "),
};

// What the score of a set is, by its kind.
const SCORES = {
  relation: "Average precision: how well the neuron’s value tells the relation’s prompts from others.",
  fact: "The neuron’s share of the strongest attribution of a prompt, averaged over the fact’s prompts.",
  language_independent: "One divided by the mean rank among the fact’s neurons over languages.",
  language_specific: "Entropy of its activity over languages, in nats: the lower, the more specific.",
  degenerate: "What the set loses together beyond the sum of its neurons’ losses, in nats of log-odds.",
};
