"""Long proofs, tied to what they prove: a proof runs when something that it uses has changed, and only then."""
