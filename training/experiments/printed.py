"""The values that the paper prints, by method; FID there is of 2048 features."""

TABLE_1: dict[str, dict[str, float]] = {
    "pix2pix": {"fid": 170.1, "ssim": 0.467, "dq": 0.687, "sq": 0.717, "pq": 0.493},
    "sharp-gan": {"fid": 155.2, "ssim": 0.483, "dq": 0.721, "sq": 0.745, "pq": 0.538},
    "pix2pixhd": {"fid": 186.3, "ssim": 0.479, "dq": 0.750, "sq": 0.753, "pq": 0.566},
    "spade": {"fid": 134.6, "ssim": 0.488, "dq": 0.705, "sq": 0.738, "pq": 0.552},
    "inst": {"fid": 125.4, "ssim": 0.491, "dq": 0.748, "sq": 0.768, "pq": 0.575},
    "style": {"fid": 116.5, "ssim": 0.506, "dq": 0.743, "sq": 0.769, "pq": 0.571},
    "sian": {"fid": 115.7, "ssim": 0.515, "dq": 0.757, "sq": 0.761, "pq": 0.586},
}

ORGANS = ("breast", "kidney", "prostate", "bladder", "colon", "lung", "brain")

TABLE_2: dict[str, dict[str, float]] = {
    method: dict(zip(ORGANS, values, strict=True))
    for method, values in {
        "pix2pix": (211.0, 197.3, 237.5, 246.9, 239.3, 187.5, 304.4),
        "sharp-gan": (198.0, 190.4, 235.3, 211.4, 208.6, 195.4, 260.3),
        "pix2pixhd": (260.0, 222.1, 260.1, 278.6, 221.8, 252.8, 278.6),
        "spade": (212.4, 187.9, 200.4, 212.5, 222.3, 207.2, 245.5),
        "sian": (200.4, 173.9, 190.2, 196.9, 204.1, 194.6, 239.6),
    }.items()
}

TABLE_3: dict[str, dict[str, float]] = {
    "real": {"dq": 0.704, "sq": 0.737, "pq": 0.521},
    "real-augmented": {"dq": 0.732, "sq": 0.739, "pq": 0.538},
    "pix2pixhd": {"dq": 0.742, "sq": 0.737, "pq": 0.544},
    "sharp-gan": {"dq": 0.740, "sq": 0.739, "pq": 0.547},
    "spade": {"dq": 0.743, "sq": 0.738, "pq": 0.549},
    "sian": {"dq": 0.748, "sq": 0.742, "pq": 0.555},
}
