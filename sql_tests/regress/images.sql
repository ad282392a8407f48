-- Pictures: what headers say, cropping, aligning, drawing.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS facerec;
RESET client_min_messages;
\pset null '(null)'
CREATE TEMP TABLE input (name text, base64 text);
\copy input FROM PROGRAM 'cd sql_tests/data/images && for f in *.jpg *.png *.gif *.bmp *.tiff *.webp; do printf "%s\t%s\n" $f $(base64 -w0 $f); done'
CREATE TEMP TABLE image AS SELECT name, decode(base64, 'base64') AS data FROM input;

-- formats by content, never by name; what cannot be read is NULL
SELECT name, (face_image_info(data)).* FROM image WHERE name !~ '^person' ORDER BY name COLLATE "C";
SELECT * FROM face_image_info('\xffd8ff');
SELECT * FROM face_image_info('');
SELECT * FROM face_image_info('no picture');
SELECT * FROM face_image_info(NULL);
SELECT * FROM face_image_info('\x000000186674797068656963000000006d696631686569630000000000000000');
SELECT * FROM face_image_info('\x0000001c667479706176696600000000617669666d6966316d69616600000000');
SELECT * FROM face_image_info('\x0000000c4a584c200d0a870a0000000000000000');

-- every orientation is upright: the quarters are where they belong
SELECT count(DISTINCT face_crop(data, box '(2,2),(14,10)')) AS upper_left,
	count(DISTINCT face_crop(data, box '(34,2),(46,10)')) AS upper_right,
	count(DISTINCT face_crop(data, box '(2,22),(14,30)')) AS lower_left,
	count(DISTINCT face_crop(data, box '(34,22),(46,30)')) AS lower_right
FROM image WHERE name ~ '^orientation-[1-8].jpg$';
SELECT count(DISTINCT face_crop(data, b)) AS four_colours
FROM image, unnest('{(2,2),(14,10);(34,2),(46,10);(2,22),(14,30);(34,22),(46,30)}'::box[]) b WHERE name = 'orientation-6.jpg';

-- a crop covers the pixels that the box touches, within the picture
SELECT b, m, i.format, i.width, i.height
FROM image, (VALUES (box '(10,5),(20,30)', 0), ('(10.5,5.5),(20.5,29.5)', 0), ('(10,5),(20,30)', 0.5),
	('(-100,-100),(5,5)', 0), ('(50,30),(1000,1000)', 0), ('(0,0),(61,43)', 10), ('(-1e300,-1e300),(1e300,1e300)', 0)) v(b, m),
	face_image_info(face_crop(data, b, m)) i
WHERE name = 'waves-444.jpg' ORDER BY b::text COLLATE "C", m;
SELECT face_crop(data, '(70,0),(80,10)') FROM image WHERE name = 'waves-444.jpg';
SELECT face_crop(data, '(10,10),(10,10)') FROM image WHERE name = 'waves-444.jpg';
SELECT face_crop(data, box(point(0, 0), point('NaN', 1))) FROM image WHERE name = 'waves-444.jpg';
SELECT face_crop(data, '(0,0),(9,9)', -1) FROM image WHERE name = 'waves-444.jpg';
SELECT face_crop(data, '(0,0),(9,9)', 'NaN') FROM image WHERE name = 'waves-444.jpg';
SELECT face_crop(NULL, '(0,0),(9,9)') IS NULL AS strict FROM image LIMIT 1;
-- PNG, gray, CMYK, palette, 16 bits: all become colour JPEG
SELECT count(*), count(DISTINCT (i.format, i.width, i.height, i.channels, i.bit_depth, i.orientation)) AS kinds
FROM image, face_image_info(face_crop(data, '(1,1),(9,9)')) i
WHERE name ~ '^(rgb|gray|palette|waves|cmyk|ycck|interlaced)';

-- alignment
SELECT i.format, i.width, i.height FROM image, (VALUES (112), (128), (224), (16)) s(size),
	face_image_info(face_align(data, '{"(150,150)","(230,150)","(190,200)","(160,240)","(220,240)"}', size)) i
WHERE name = 'person-1a.jpg' ORDER BY 2;
SELECT i.width FROM image, face_image_info(face_align(data, landmarks => '{"(15,15)","(23,15)","(19,20)","(16,24)","(22,24)"}')) i WHERE name = 'rgb.png';
SELECT face_align(data, '{"(1,2)","(3,4)"}') FROM image WHERE name = 'rgb.png';
SELECT face_align(data, ARRAY[point '(1,2)', '(3,4)', '(3,5)', '(5,5)', NULL]) FROM image WHERE name = 'rgb.png';
SELECT face_align(data, ARRAY[point '(1,2)', '(3,4)', '(3,5)', '(5,5)', '(Infinity,1)']) FROM image WHERE name = 'rgb.png';
SELECT face_align(data, '{"(1,2)","(3,4)","(1,2)","(5,6)","(7,8)"}', 8) FROM image WHERE name = 'rgb.png';
SELECT face_align(data, '{"(1,2)","(1,2)","(1,2)","(1,2)","(1,2)"}') FROM image WHERE name = 'rgb.png';

-- drawing
SELECT i.format, i.width, i.height, i.orientation FROM image, face_image_info(face_draw(data, '{(3,4),(20,30)}')) i WHERE name = 'orientation-6.jpg';
SELECT face_draw(data, '{}') <> face_draw(data, '{(3,4),(20,30)}') AS boxes_show,
	face_draw(data, '{(3,4),(20,30)}') <> face_draw(data, '{(3,4),(20,30)}', '{name}') AS labels_show,
	face_draw(data, '{(3,4),(20,30)}', '{name}') <> face_draw(data, '{(3,4),(20,30)}', '{nbme}') AS letters_show,
	face_draw(data, ARRAY[NULL::box]) = face_draw(data, '{}') AS null_box,
	face_draw(data, '{(3,4),(20,30)}', ARRAY[NULL::text]) = face_draw(data, '{(3,4),(20,30)}') AS null_label,
	face_draw(data, boxes => '{(3,4),(20,30)}', labels => ARRAY['Zoë ☺' || repeat(' long', 100)]) IS NOT NULL AS any_text,
	face_draw(data, '{(-1e300,-1e9),(1e300,1e9);(5,5),(5,5);(100,100),(200,200)}', '{a,b,c}') IS NOT NULL AS any_box
FROM image WHERE name = 'rgb.png';
SELECT face_draw(data, '{(3,4),(20,30)}', '{a,b}') FROM image WHERE name = 'rgb.png';
SELECT face_draw(data, ARRAY[box(point(0, 0), point('Infinity', 1))]) FROM image WHERE name = 'rgb.png';
-- one pixel is a picture
SELECT name, i.width, i.height FROM image, face_image_info(face_draw(data, '{(0,0),(1,1)}', '{x}')) i WHERE name ~ '^one-pixel' ORDER BY name;
SELECT name, i.width, i.height FROM image, face_image_info(face_crop(data, '(0,0),(1,1)')) i WHERE name ~ '^one-pixel' ORDER BY name;
