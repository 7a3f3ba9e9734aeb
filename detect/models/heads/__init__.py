from detect.models.heads.yolo import YOLOv3

__all__ = ["YOLOv3"]
