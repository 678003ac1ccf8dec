"""Published datasets: immutable versions in a folder or at a URL, laid out as the Hub lays out a dataset.

CATALOGUE/catalogue.json             format; whether it is for trying out      .lock: who publishes holds it
CATALOGUE/NAME/VERSION/manifest.json names every other file with its sha256; a version without it does not exist
                       README.md     the card            figures.json  what the card and the viewer show
                       recipe.yaml   how it was made     audit.md/json what the judge did    croissant.json
                       diff.md/json  against the version before        card/         pictures of the card
                       data/VIEW/train-00000.parquet     VIEW: sft, preference, dropped, seeds, lineage
"""
