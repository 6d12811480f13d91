"""Pictures: grids of frames (`grid/`) and curves (`curves/`). Arrays and trees in, no files."""
