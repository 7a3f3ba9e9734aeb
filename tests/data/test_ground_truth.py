"""Objects as columns hold what files hold, in their order."""

from tests.coco_mapping import truth_of


def mapping():
    images = [{"id": 9, "width": 64, "height": 48}, {"id": 4, "width": 32, "height": 16}]
    categories = [{"id": 7, "name": "cell"}, {"id": 2, "name": "cell"}, {"id": 3, "name": "dog"}]
    rows = [(9, 7, 0), (4, 3, 1), (9, 2, 0), (5, 2, 0), (9, 1, 0)]  # there is no image 5, and no class 1
    annotations = [
        {"image_id": image, "category_id": category, "bbox": [number, 1, 2, 3], "area": 5, "iscrowd": crowd}
        for number, (image, category, crowd) in enumerate(rows)
    ]
    return {"images": images, "categories": categories, "annotations": annotations}


def test_objects_in_the_order_of_their_file():
    truth = truth_of(mapping())
    assert truth.image_ids.tolist() == [4, 9] and truth.sizes.tolist() == [[32, 16], [64, 48]]
    assert truth.category_ids.tolist() == [2, 3, 7] and truth.names == ["cell (id 2)", "dog", "cell (id 7)"]
    assert len(truth) == 3 and truth.images.tolist() == [1, 0, 1] and truth.labels.tolist() == [2, 1, 0]
    assert truth.boxes[:, 0].tolist() == [0, 1, 2] and truth.crowds.tolist() == [False, True, False]
    assert truth.instances.tolist() == [1, 0, 1]


def test_a_part_of_the_images():
    part = truth_of(mapping()).of_images([9, 1000])
    assert (
        part.image_ids.tolist() == [9] and part.sizes.tolist() == [[64, 48]] and part.category_ids.tolist() == [2, 3, 7]
    )
    assert part.images.tolist() == [0, 0] and part.labels.tolist() == [2, 0] and part.instances.tolist() == [1, 0, 1]
    assert len(truth_of(mapping()).of_images([])) == 0
