"""The smallest effects that the claims on relation neurons want to find, nats.

A claim whose minimal detectable effect is above this, with nothing significant, is untestable. All
are by relation: the mean over relations, or one relation asked under another's set.
"""

RELATION_NEURONS = 0.08  # a set's excess over what pushes as hard; P(answer) falls by 8 %
CUMULATIVITY = 0.08  # growth from half of a set to all of it
LANGUAGES = 0.08  # as RELATION_NEURONS, for sets found in another language
SELECTORS = 0.25  # by which average precision's sets are more necessary than any other selector's
SUFFICIENCY = 0.2  # gain of P(type) by installing values; a fifth, where 0.08 would go unseen
CELL = 0.3  # one of about 90 pairs of relations; P(answer) changes by a quarter

# The claims on knowledge neurons.

ATTRIBUTION = 0.5  # nats by which attribution's sets act more specifically than any other method's
LANGUAGE_INDEPENDENT = 2.0  # neurons that two languages share beyond two facts of one relation
EDITING = 1.0  # nats by which edits of independent neurons reach further than of one language's
DEGENERATE = 0.005  # share of pairs beyond that of their controls
FACT_CHECKING = 0.05  # gain of the area under the curve

# The claim on language-specific neurons. Where text loses 0.1 nats per token its perplexity rises
# by a tenth; a language that loses less without its own neurons does not depend on them.

LANGUAGE_SPECIFIC = 0.1  # nats per token by which a language needs its own neurons more than others
