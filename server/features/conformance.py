"""The conformance classes of OGC API - Features and CQL2 that the tests prove."""

_FEATURES = "http://www.opengis.net/spec/ogcapi-features-{part}/1.0/conf/{name}"
_CQL2 = "http://www.opengis.net/spec/cql2/1.0/conf/{name}"

#: Proven by tests/server/test_features_conformance.py, one test for each.
FEATURES = (
    "http://www.opengis.net/spec/ogcapi-common-2/1.0/conf/collections",
    *(_FEATURES.format(part=1, name=name) for name in ("core", "geojson", "html")),
    _FEATURES.format(part=2, name="crs"),
    *(_FEATURES.format(part=3, name=name) for name in ("queryables", "filter", "features-filter")),
    *(
        _CQL2.format(name=name)
        for name in (
            "cql2-text",
            "cql2-json",
            "basic-cql2",
            "advanced-comparison-operators",
            "case-insensitive-comparison",
            "accent-insensitive-comparison",
            "basic-spatial-functions",
            "basic-spatial-functions-plus",
            "spatial-functions",
            "temporal-functions",
            "array-functions",
            "property-property",
            "arithmetic",
        )
    ),
)
