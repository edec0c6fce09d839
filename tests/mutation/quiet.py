"""A plugin of pytest for runs over mutants: the same examples each time, and no search for smaller ones."""

from hypothesis import Phase, settings

settings.register_profile(
    "mutation", derandomize=True, deadline=None, database=None, phases=(Phase.explicit, Phase.generate)
)
settings.load_profile("mutation")
