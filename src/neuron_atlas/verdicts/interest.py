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
