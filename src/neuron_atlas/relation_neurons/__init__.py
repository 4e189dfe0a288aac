"""Stage `relation_neurons`: neurons that respond to a relation whatever the entity."""
