"""Instance masks in the formats of other software, and the parts to write data sets with.

Masks as arrays:    ``matlab`` (HoVer-Net), ``pannuke``
Masks as outlines:  ``geojson`` (QuPath), ``coco``, ``aperio`` (MoNuSeg), upon ``outlines``, which
                    follows the edges of pixels, and ``drawing``, its inverse

``model.formats`` reads and writes files of all of them.
"""
