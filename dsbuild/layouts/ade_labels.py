"""The 150 classes of ADE20K's scene parsing challenge, in its order; stored values count from 1.

Source: objectInfo150.txt of the Places challenge 2016 (CSAILVision/sceneparsing), first names; and
convertFromADE/mapFromADE.txt.
"""

NAMES = tuple(
    """wall,building,sky,floor,tree,ceiling,road,bed,windowpane,grass,cabinet,sidewalk,person,earth,
door,table,mountain,plant,curtain,chair,car,water,painting,sofa,shelf,house,sea,mirror,rug,field,
armchair,seat,fence,desk,rock,wardrobe,lamp,bathtub,railing,cushion,base,box,column,signboard,
chest of drawers,counter,sand,sink,skyscraper,fireplace,refrigerator,grandstand,path,stairs,runway,
case,pool table,pillow,screen door,stairway,river,bridge,bookcase,blind,coffee table,toilet,flower,
book,hill,bench,countertop,stove,palm,kitchen island,computer,swivel chair,boat,bar,arcade machine,
hovel,bus,towel,light,truck,tower,chandelier,awning,streetlight,booth,television receiver,airplane,
dirt track,apparel,pole,land,bannister,escalator,ottoman,bottle,buffet,poster,stage,van,ship,
fountain,conveyer belt,canopy,washer,plaything,swimming pool,stool,barrel,basket,waterfall,tent,bag,
minibike,cradle,oven,ball,food,step,tank,trade name,microwave,pot,animal,bicycle,lake,dishwasher,
screen,blanket,sculpture,hood,sconce,vase,traffic light,tray,ashcan,fan,pier,crt screen,plate,
monitor,bulletin board,shower,radiator,glass,clock,flag""".replace("\n", "").split(",")
)

# The value of each class in the full data set, in the order of NAMES; three have a second one.
_FULL = map(
    int,
    """2978 312 2420 976 2855 447 2131 165 3055 1125 350 2377 1831 838 774 2684 1610 1910 687
471 401 2994 1735 2473 2329 1276 2264 1564 2178 913 57 2272 907 724 2138 2985 1395 155
2053 689 137 266 581 2380 491 627 2212 2388 2423 943 2096 1121 1788 2530 2185 420 1948
1869 2251 2531 2128 294 239 212 571 2793 978 236 1240 181 629 2598 1744 1374 591 2679
223 123 47 1282 327 2821 1451 2880 2828 480 77 2616 246 2733 14 738 38 1936 1401 120 868
1702 249 308 1969 2526 2928 2337 1023 609 389 2989 1930 2668 2586 131 146 3016 2739 95
1563 642 1708 103 1002 2569 2704 2833 1551 1981 29 187 1393 747 2254 206 2262 1260 2243
2932 2836 2850 64 894 1858 3109 1919 1583 318 2356 2046 1098 530 954""".split(),
)
FROM_FULL = {value: index for index, value in enumerate(_FULL)} | {783: 14, 533: 35, 247: 88}
