"""From a model to its neurons in ten minutes: a notebook that is also a program.

`.venv/bin/marimo edit docs/ten_minutes.py` opens it; `make notebook` runs it on the default model
and writes what it shows into the page `ten-minutes.md`.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="From a model to its neurons in ten minutes")

with app.setup:
    import marimo as mo
    import numpy as np
    import pandas as pd
    import torch

    import neuron_atlas as na
    from neuron_atlas.arms.push import Writing
    from neuron_atlas.statistics.random_effects import over_clusters
    from neuron_atlas.value_vectors.at_head import ValueVectors, logits
    from neuron_atlas.verdicts.verdict import judge


@app.cell(hide_code=True)
def _():
    mo.md("""
    # From a model to its neurons in ten minutes

    Where in a language model is the fact that Paris is the capital of France? Papers answer: in
    some of its *neurons*. Here we find such neurons by hand, look at what they write, switch them
    off, and then ask the question that decides whether we have found anything: **compared with
    what?**

    You need a model in a folder, such as `data/model` of a finished run, and ten minutes. Each step
    is what a stage of the pipeline does on a larger scale, with more controls.
    """)


@app.cell
def _():
    folder = mo.cli_args().get("model") or "data/model"
    n_facts = 24  # per relation, the most prominent ones
    return folder, n_facts


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 1. Load a model

    A neuron is one input of an MLP's down-projection. So a model has as many neurons per layer as
    its MLP is wide.
    """)


@app.cell
def _(folder):
    lm = na.load_model(folder)
    pd.DataFrame(
        {
            "family": [lm.network.config.model_type],
            "layers": [lm.n_layers],
            "neurons per layer": [lm.n_neurons],
        }
    )
    return (lm,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 2. Ask facts

    Three relations, in three wordings each. Every subject is in one of three parts: we find neurons
    on *identification* and test them on *held-out*; *development* stays out of it. The last
    wording tests, too, so that it finds nothing.
    """)


@app.cell
def _(n_facts):
    relations = ["capital", "continent", "script_of_language"]
    facts = na.built_in_facts(
        "en",
        relations,
        max_per_relation=n_facts,
        max_candidates=12,
        max_majority_share=0.5,
        paraphrases=3,
        development_share=0.3,
    )
    facts = facts[facts["split"] != "development"].reset_index(drop=True)
    facts.groupby("relation").first()[["prompt", "answer"]].reset_index()
    return facts, relations


@app.cell(hide_code=True)
def _():
    mo.md("""
    What does the model know? For each prompt we score all possible answers of the relation. The
    prompt is answered right if the most probable one is right. Next to it stands what always
    giving the most frequent answer would get: without that, a share of right answers says nothing.
    """)


@app.cell
def _(facts, lm):
    def predicted(rows):
        labels = list(rows["candidate_labels"].iloc[0])
        scores = na.log_probabilities(lm, rows["prompt"], [f" {label}" for label in labels])
        best = [labels[i] for i in scores.argmax(1)]
        return pd.Series(best, index=rows.index)

    answered = pd.concat([predicted(rows) for _, rows in facts.groupby("relation")])
    known = facts.assign(
        right=[
            answered[i] in set(labels)
            for i, labels in zip(facts.index, facts["object_labels"], strict=True)
        ]
    )
    _shares = known.groupby("relation").agg(
        facts=("fact", "nunique"),
        right=("right", "mean"),
        majority=("answer", lambda column: column.value_counts(normalize=True).iloc[0]),
    )
    _shares.round(2).reset_index()
    return (known,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 3. Record activations

    One pass per prompt gives the value of every neuron of every layer at the position where the
    answer is predicted. We keep the prompts that are answered right: what the model does not know
    cannot be found in it.
    """)


@app.cell
def _(known, lm):
    right = known[known["right"]].reset_index(drop=True)
    values = na.record_activations(lm, right["prompt"])
    pd.DataFrame({"prompts": [len(values)], "values per prompt": [values[0].size]})
    return right, values


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 4. Which neurons tell a relation apart?

    *Average precision* asks how well a neuron's value ranks one relation's prompts above all
    others: 1 if they all come first. We score each wording by itself and keep the **least**, so
    that no neuron wins which merely responds to a wording.
    """)


@app.cell
def _(relations, right, values):
    def precision(relation, chosen):
        """The least average precision over the wordings of the chosen prompts, of each neuron."""
        own = (right["relation"] == relation).to_numpy() & chosen
        others = (right["relation"] != relation).to_numpy() & chosen
        found = []
        for template in sorted(set(right["template"][own])):
            wording = own & (right["template"] == template).to_numpy()
            used = wording | others
            found.append(na.average_precision(values[used], wording[used]))
        return np.min(found, axis=0)

    finds = ((right["split"] == "identification") & (right["template"] < 2)).to_numpy()
    tests = ((right["split"] == "held_out") & (right["template"] == 2)).to_numpy()
    found_ap = {relation: precision(relation, finds) for relation in relations}
    tested_ap = {relation: precision(relation, tests) for relation in relations}
    return finds, found_ap, tested_ap, tests


@app.cell(hide_code=True)
def _():
    mo.md("""
    With so few prompts many neurons tie at 1. Ties are broken by the *gap*: how far the mean over
    the relation's prompts is above that over the others, in standard deviations.
    """)


@app.cell
def _(finds, found_ap, lm, relations, right, tested_ap, values):
    def gap(relation):
        own = (right["relation"][finds] == relation).to_numpy()
        spread = values[finds].std(0)
        apart = values[finds][own].mean(0) - values[finds][~own].mean(0)
        return np.divide(apart, spread, out=np.zeros_like(spread), where=spread > 0)

    def best_neurons(*scores, k=20):
        """The best neurons by the first score, ties by the next."""
        order = np.lexsort([-one.ravel() for one in reversed(scores)])[:k]
        return [na.Neuron(*divmod(int(i), lm.n_neurons)) for i in order]

    sets = {relation: best_neurons(found_ap[relation], gap(relation)) for relation in relations}

    def _best(relation):
        best = sets[relation][0]
        return {
            "relation": relation,
            "best neuron": f"{best.layer}:{best.index}",
            "AP where found": found_ap[relation][best.layer, best.index],
            "AP on other facts and wording": tested_ap[relation][best.layer, best.index],
            "neurons with AP 1": int((found_ap[relation] == 1).sum()),
        }

    pd.DataFrame([_best(relation) for relation in relations]).round(2)
    return best_neurons, sets


@app.cell(hide_code=True)
def _():
    mo.md("""
    Impressive, and no finding yet. There are tens of thousands of neurons and a few dozen prompts:
    some will score high on anything. So we score groups of prompts that have **nothing in common**:
    as many prompts as a relation has, drawn at random.
    """)


@app.cell
def _(finds, found_ap, values):
    def halves(seed):
        """Two groups of prompts, drawn at random, in place of a relation's two wordings."""
        n = int(finds.sum())
        order, size = np.random.default_rng(seed).permutation(n), n // 6
        return [np.isin(np.arange(n), order[i * size : (i + 1) * size]) for i in (0, 1)]

    _groups = np.array([halves(seed) for seed in range(20)])
    _ignored = _groups[:, ::-1]  # of each group the other one
    _at_random = na.average_precision(
        values[finds], np.concatenate(_groups), ignore=np.concatenate(_ignored)
    )
    _at_random = _at_random.reshape(20, 2, -1).min(1)
    _rows = [*found_ap.items(), ("prompts at random, 20 times", _at_random)]
    pd.DataFrame(
        [(name, found.max(), np.median(found)) for name, found in _rows],
        columns=["group", "best AP", "median AP"],
    ).round(2)


@app.cell(hide_code=True)
def _():
    mo.md("""
    The pipeline uses a stricter null, because prompts of one wording are alike: *chimeras*, put
    together from one wording each of different relations.

    ## 5. Sets

    A relation's set are its best neurons, here twenty. Do two relations share any?
    """)


@app.cell
def _(relations, sets):
    pd.DataFrame(
        [[len(set(sets[a]) & set(sets[b])) for b in relations] for a in relations],
        index=pd.Index(relations, name="shared neurons"),
        columns=relations,
    ).reset_index()


@app.cell(hide_code=True)
def _():
    mo.md("""
    With a finished run, `na.read_sets("data/relation_neurons/pooled")` has the sets that the
    pipeline found, a hundred neurons each, over all languages.

    ## 6. What do they write?

    A neuron adds its *value vector* to the residual stream, times its value. Read by the model's
    last norm and its output embeddings, the vector says which tokens it promotes. A neuron whose
    value is lower than usual where its relation is asked writes the vector turned around. The cards
    of a finished run have this of every neuron in a set: `neuron-atlas neuron 11:1532`.
    """)


@app.cell
def _(lm, right, sets, values):
    vectors = ValueVectors(lm, "hidden")

    def promoted(neuron, sign, n=6):
        head = sign * vectors.of_neurons(neuron.layer, torch.tensor([neuron.index]))
        order = logits(head, lm.head.weight)[0].argsort(descending=True)[:n].tolist()
        return " ".join(repr(lm.tokenizer.decode([token])) for token in order)

    def _written(relation):
        own = (right["relation"] == relation).to_numpy()
        change = values[own].mean(0) - values[~own].mean(0)
        for neuron in sets[relation][:3]:
            sign = 1 if change[neuron.layer, neuron.index] > 0 else -1
            yield relation, f"{neuron.layer}:{neuron.index}", promoted(neuron, sign)

    pd.DataFrame(
        [row for relation in sets for row in _written(relation)],
        columns=["relation", "neuron", "tokens that it promotes"],
    )


@app.cell(hide_code=True)
def _():
    mo.md("""
    Now and then a neuron promotes words of its relation, or what one would call its topic. More
    often its tokens say nothing to a reader. That a neuron *detects* a relation does not mean that
    it *writes* its answers.

    ## 7. Switch them off

    We hold a set at its mean over all prompts and ask the relation's held-out facts again. The
    effect is the change of the right answer's log-probability, in nats: -0.1 is a probability that
    falls by a tenth. (Here the set is held at every position; the pipeline holds it where the
    answer is due.)

    Compared with what? Changing anything in a model does something. So each set stands beside ten
    random sets of the same layers, matched neuron by neuron in *strength*: how far switching off
    moves what the model computes. The neurons of a set are far from their mean on exactly these
    prompts, so random neurons that are merely as many would be a weak control.
    """)


@app.cell
def _(finds, lm, relations, right, tests, values):
    mean, written = values[finds].mean(0), Writing(lm, "hidden").lengths.numpy()

    def strength(relation):
        own = (right["relation"] == relation).to_numpy() & finds
        away = np.sqrt(((mean - values[own]) ** 2).mean(0))
        return away * written

    def answers(rows):
        texts = rows["separator"] + rows["answer"]
        return na.log_probabilities(lm, rows["prompt"], texts).diagonal()

    def tested(relation):
        return right[tests & (right["relation"] == relation).to_numpy()]

    clean = {r: answers(tested(r)) for r in relations if len(tested(r))}

    def effect(neurons, relation):
        with na.switched_off(lm, neurons, value=mean):
            return float((answers(tested(relation)) - clean[relation]).mean())

    return clean, effect, strength


@app.cell
def _(clean, effect, sets, strength):
    def beside_random(sets):
        rows = []
        for relation in clean:  # those with a held-out fact that is answered right
            drawn = na.matched_random(sets[relation], strength(relation), n_draws=10, seed=0)
            random = [effect(one, relation) for one in drawn]
            own = effect(sets[relation], relation)
            rows.append(
                {
                    "relation": relation,
                    "facts": len(clean[relation]),
                    "without the set": own,
                    "without random ones": np.mean(random),
                    "least": min(random),
                    "most": max(random),
                    "excess": own - np.mean(random),
                }
            )
        return pd.DataFrame(rows)

    by_relation = beside_random(sets)
    by_relation.round(2)
    return beside_random, by_relation


@app.cell(hide_code=True)
def _():
    mo.md("""
    Read the row of each relation from right to left: the *excess* is what is left when random
    neurons of equal strength have been subtracted. Where the set lies between `least` and `most`,
    it does what ten random sets do.

    ## 8. Other neurons: attributions

    Average precision asks what a neuron *responds to*. Integrated gradients ask what the answer
    *depends on*: each neuron gets its share of the change of the answer's log-probability as all
    neurons of its layer go from 0 to their values.
    """)


@app.cell
def _(best_neurons, lm, right, finds, sets):
    def attributed(relation, n=3):
        rows = right[finds & (right["relation"] == relation).to_numpy()].head(n)
        texts = (rows["separator"] + rows["answer"]).tolist()
        return na.integrated_gradients(lm, rows["prompt"].tolist(), texts, steps=4).mean(0)

    by_attribution = {relation: best_neurons(attributed(relation)) for relation in sets}
    pd.DataFrame(
        [(r, len(set(sets[r]) & set(by_attribution[r]))) for r in sets],
        columns=["relation", "neurons in both sets of 20"],
    )
    return (by_attribution,)


@app.cell
def _(beside_random, by_attribution):
    attributed_effects = beside_random(by_attribution)
    attributed_effects.round(2)
    return (attributed_effects,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    The two ways hardly agree on the neurons. Which of them an answer *needs* is what the last two
    tables compare.

    ## 9. Read what comes out, also if it is nothing

    Three relations are a small sample. One set serves a whole relation, so relations, not prompts,
    are what we have drawn: three numbers, a t-test with two degrees of freedom. Beside the interval
    stands the *minimal detectable effect*: the smallest that such a comparison finds in 80 of 100
    repetitions. The word follows from both, for an effect of interest of 0.08 nats.
    """)


@app.cell
def _(attributed_effects, by_relation):
    def _row(name, table):
        if len(table) < 2:
            return {"neurons": name, "word": "untestable"}
        tested = over_clusters(table["excess"].to_numpy())
        return {
            "neurons": name,
            "excess": tested.effect.mean,
            "low": tested.effect.low,
            "high": tested.effect.high,
            "minimal detectable": tested.mde,
            "word": judge(tested, "harm", negligible=0.05, interest=0.08),
        }

    verdicts = pd.DataFrame(
        [_row("average precision", by_relation), _row("attribution", attributed_effects)]
    )
    verdicts.round(2)
    return (verdicts,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    * **untestable**: the minimal detectable effect is above what one would want to find. This is no
      evidence against such neurons. Take more relations; more facts of each hardly help.
    * **not supported**: the interval excludes every effect that matters. This *is* a finding.
    * **contradicted**: without the set answers lose *less* than without random neurons that were as
      far from their mean. Such neurons respond to the relation, and the answers do not need them.
    * **supported**: beyond random neurons of equal strength. It still does not say that the neurons
      are this relation's own: other relations' neurons may harm it as much.
    * **undecided**: none of these.

    Three relations, one seed, a few facts of each: whatever the word, look for it again before you
    believe it.

    What the pipeline does beyond these ten minutes: answers are held out as well as subjects; each
    random set is scaled to the same push on every prompt; other relations' sets are a second
    control; effects are split into the answer's type and the answer given its type; six languages,
    twelve relations, twenty draws; and every verdict is tried on models in which the truth was
    planted. `make repro` runs it.
    """)


if __name__ == "__main__":
    app.run()
