"""Landmarks of MediaPipe's mesh along the lips and lids, as rings. Left and right are the person's own."""

from __future__ import annotations

OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
LOWER_INNER_LIP = (95, 88, 178, 87, 14, 317, 402, 318, 324)  # from the right corner to the left
UPPER_INNER_LIP = (191, 80, 81, 82, 13, 312, 311, 310, 415)  # above those, one by one
INNER_LIPS = (78, *LOWER_INNER_LIP, 308, *UPPER_INNER_LIP[::-1])

RIGHT_UPPER_LID = (246, 161, 160, 159, 158, 157, 173)  # from the outer corner to the inner
RIGHT_LOWER_LID = (7, 163, 144, 145, 153, 154, 155)  # below those, one by one
LEFT_UPPER_LID = (466, 388, 387, 386, 385, 384, 398)
LEFT_LOWER_LID = (249, 390, 373, 374, 380, 381, 382)
RIGHT_LIDS = (33, *RIGHT_LOWER_LID, 133, *RIGHT_UPPER_LID[::-1])
LEFT_LIDS = (263, *LEFT_LOWER_LID, 362, *LEFT_UPPER_LID[::-1])

LOWER_OVAL = (397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172)  # the chin's and jaw's outline
CHIN = (18, 83, 313, 200, 199, 175, 32, 262)
BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
NOSE = (168, 195, 4, 2, 98, 327, 64, 294)
CHEEKS = (50, 280, 205, 425, 118, 347)
IRISES = ((468, 469, 470, 471, 472), (473, 474, 475, 476, 477))  # right, left
