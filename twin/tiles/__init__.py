"""3D Tiles 1.1 trees and their encodings."""
