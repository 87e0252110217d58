"""The field names that surveys, cadastres and OpenStreetMap use, in the languages met so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: Role to names without case and punctuation, with how sure each makes us (1: it can hardly mean anything else).
NAMES: Final[Mapping[str, Mapping[str, float]]] = {
    "id": {
        "gmlid": 0.95, "globalid": 0.95, "uuid": 0.95, "guid": 0.95, "lokaalid": 1.0, "buildingid": 0.95,
        "bldgid": 0.95, "bldid": 0.95, "bid": 0.8, "osmid": 0.95, "bsm": 1.0, "要素代码": 0.3, "标识码": 1.0,
        "编号": 0.9, "建筑编号": 1.0, "楼栋编号": 1.0, "房屋编号": 1.0, "建筑物编码": 1.0, "编码": 0.8,
        "fwbh": 1.0, "jzbh": 1.0, "ldbh": 1.0, "zrzh": 1.0, "bdcdyh": 1.0, "bin": 0.95, "doittid": 0.9,
        "fwid": 0.95, "id": 0.85, "identifier": 0.9, "identificatie": 0.95, "identificatiebagpnd": 0.85,
        "fid": 0.5, "objectid": 0.6, "objectid1": 0.4, "ogcfid": 0.6, "gid": 0.6, "uid": 0.8, "code": 0.6,
        "key": 0.6, "mslink": 0.7, "featureid": 0.85, "miprinx": 0.6, "ufid": 0.9, "bldcode": 0.9, "pnu": 0.5,
    },
    "height": {
        "height": 1.0, "buildingheight": 1.0, "bldgheight": 1.0, "bldheight": 1.0, "bheight": 0.95,
        "measuredheight": 1.0, "heightm": 1.0, "hgt": 0.9, "hgtagl": 0.9, "h": 0.75, "ht": 0.6, "relh": 0.8,
        "relheight": 0.95, "heightroof": 0.95, "jzgd": 1.0, "jzg": 0.8, "fwgd": 1.0, "lg": 0.4, "gd": 0.6,
        "建筑高度": 1.0, "建筑高": 0.95, "房屋高度": 1.0, "楼高": 0.95, "高度": 0.95, "相对高度": 1.0,
        "相对高": 0.9, "建筑物高度": 1.0, "檐高": 0.8, "hoogte": 0.9, "hauteur": 0.95, "hoehe": 0.9,
        "höhe": 0.9, "altura": 0.95, "hojd": 0.7, "höjd": 0.9, "altezza": 0.95, "wysokosc": 0.9, "高さ": 0.9,
        "높이": 0.95, "relative": 0.5, "avgheight": 0.8, "maxheight": 0.7, "meanheight": 0.8,
        "heightmean": 0.8, "gebhoehe": 0.95,
    },
    "storeys": {
        "floor": 0.95, "floors": 1.0, "numfloors": 1.0, "nfloors": 1.0, "floornum": 1.0, "floorcount": 1.0,
        "numflrs": 1.0, "levels": 0.9, "buildinglevels": 1.0, "storeys": 1.0, "storey": 0.95, "stories": 1.0,
        "numstories": 1.0, "storeysaboveground": 1.0, "cs": 0.75, "层数": 1.0, "总层数": 0.9, "地上层数": 1.0,
        "楼层": 0.9, "楼层数": 1.0, "fwcs": 1.0, "jzcs": 1.0, "dscs": 1.0, "zcs": 0.85, "cengshu": 0.95,
        "nbetages": 1.0, "etages": 0.9, "geschosse": 1.0, "bouwlagen": 1.0, "층수": 1.0, "地上層数": 1.0,
        "numberoffloors": 1.0, "grndflr": 0.9,
    },
    "name": {
        "name": 1.0, "名称": 1.0, "mc": 0.8, "jzmc": 1.0, "fwmc": 1.0, "ldmc": 1.0, "建筑名称": 1.0,
        "楼名": 0.95, "bldgname": 1.0, "bldname": 1.0, "buildingname": 1.0, "nom": 0.8, "naam": 0.9,
        "nombre": 0.8, "namn": 0.9, "byggnadsna": 0.9, "nm": 0.6, "bldnm": 0.95, "namezh": 0.8, "nameen": 0.5,
        "title": 0.6, "label": 0.5, "小区名称": 0.6, "名前": 0.9,
    },
    "class": {
        "use": 0.9, "usage": 0.9, "buildinguse": 1.0, "bldguse": 1.0, "type": 0.75, "building": 0.9,
        "buildingtype": 0.95, "bldgtype": 0.95, "class": 0.85, "category": 0.8, "用途": 1.0, "建筑用途": 1.0,
        "房屋用途": 1.0, "规划用途": 0.9, "类型": 0.8, "建筑类型": 0.95, "jzyt": 1.0, "fwyt": 1.0, "ghyt": 0.9,
        "yt": 0.7, "lx": 0.6, "typ": 0.7, "function": 0.9, "usageclass": 0.8, "fclass": 0.85, "landuse": 0.5,
        "landusekind": 0.4, "kinddetail": 0.7, "occupancy": 0.7, "gebruiksdoel": 0.95,
    },
    "address": {
        "address": 1.0, "addr": 1.0, "fulladdress": 1.0, "addrfull": 1.0, "地址": 1.0, "坐落": 0.95, "zl": 0.7,
        "dz": 0.7, "门牌地址": 1.0, "标准地址": 1.0, "adresse": 0.95, "adres": 0.95, "direccion": 0.95,
        "addrstreet": 0.6, "street": 0.5, "住所": 0.8,
    },
    "min_height": {
        "minheight": 1.0, "minh": 0.9, "baseheight": 0.7, "heightmin": 0.8, "底高": 0.7, "离地高度": 0.9,
        "buildingminheight": 1.0,
    },
    "kind": {
        "kind": 0.9, "buildingpart": 0.5, "part": 0.5, "featuretype": 0.6, "objecttype": 0.6,
    },
    "part_of": {
        "partof": 1.0, "parentid": 0.95, "parent": 0.9, "rootid": 0.9, "buildingparentid": 0.95,
        "所属建筑": 1.0, "父编号": 1.0,
    },
    "ground": {
        "ground": 0.7, "groundelev": 1.0, "groundelevation": 1.0, "grndelev": 1.0, "groundz": 0.95,
        "zground": 0.95, "base": 0.6, "baseelev": 0.95, "baseelevation": 0.95, "elevation": 0.5, "elev": 0.5,
        "dem": 0.7, "地面高程": 1.0, "地面标高": 1.0, "基底高程": 1.0, "dmgc": 0.9, "hmaaiveld": 0.9,
        "maaiveld": 0.9, "h0": 0.4, "groundheight": 0.7, "b3hmaaiveld": 1.0, "底部高程": 0.95, "jdgc": 0.7,
    },
    "roof": {
        "roofelev": 1.0, "roofelevation": 1.0, "roofz": 0.95, "zroof": 0.95, "rooftopelevation": 1.0,
        "topelev": 0.95, "zmax": 0.6, "屋顶高程": 1.0, "屋顶标高": 1.0, "顶部高程": 0.95, "顶高程": 0.95,
        "wdgc": 0.9, "hdak": 0.9, "b3hdakmax": 0.9, "b3hdak70p": 1.0, "absoluteheight": 0.7, "绝对高度": 0.9,
        "楼顶高程": 1.0, "rooflevel": 0.5,
    },
}  # fmt: skip

#: Names that other software gives to things that mean nothing here.
NOISE: Final = frozenset({
    "area", "count", "lat", "layer", "lon", "minzoom", "perimeter", "scalerank", "shapearea", "shapeleng",
    "shapelength", "sortrank", "sum", "volume", "x", "y",
})  # fmt: skip
