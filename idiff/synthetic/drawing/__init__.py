"""Draw objects, figures and backgrounds on pixel grids."""
