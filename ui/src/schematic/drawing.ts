// The schematic map: our own drawing of the 'L', laid by hand. One unit is about
// the space between two stations; x grows east, y grows south. All tracks run at
// multiples of 45°. The Loop is enlarged to the square (0,0)–(8.4,8.4).

/** Where a name stands: a compass letter of the marker's side; / and \ are slanted. */
export type Side = 'e' | 'w' | 'n' | 's' | '/' | '\\'

/** Node is a station (its id) or a junction of tracks (below 0). */
export type Node = number

/** Tower 18, Lake and Wells Streets, and Tower 12, Van Buren and Wabash. */
export const TOWER_18 = -1
export const TOWER_12 = -2

/** Where the junctions are on the ground: [lat, lon]. */
export const JUNCTIONS: Readonly<Record<Node, [number, number]>> = {
  [TOWER_18]: [41.88573, -87.63391],
  [TOWER_12]: [41.8769, -87.62603],
}

const L = 8.4 // the Loop's side

/** [x, y, side of the name] */
export const PLACES: Readonly<Record<Node, readonly [number, number, Side]>> = {
  [TOWER_18]: [0, 0, 'e'],
  [TOWER_12]: [L, L, 'e'],
  // The Loop: Lake, Wabash, Van Buren, Wells
  40380: [2.8, 0, 'n'], // Clark/Lake
  40260: [5.8, 0, 'n'], // State/Lake
  41700: [L, 2.8, 'e'], // Washington/Wabash
  40680: [L, 5.6, 'e'], // Adams/Wabash
  40850: [5.6, L, 's'], // Harold Washington Library
  40160: [2.4, L, 's'], // LaSalle/Van Buren
  40040: [0, 5.6, 'w'], // Quincy/Wells
  40730: [0, 2.8, 'w'], // Washington/Wells
  // Blue and Red under the Loop
  40370: [2.8, 2, 'e'], // Washington
  40790: [2.8, 4.6, 'e'], // Monroe
  40070: [2.8, 6.6, 'e'], // Jackson (Blue)
  41660: [5.8, 1.5, 'e'], // Lake
  41090: [5.8, 3.7, 'e'], // Monroe
  40560: [5.8, 6.1, 'e'], // Jackson
  // North side trunk
  40460: [0, -2.7, 'w'], // Merchandise Mart
  40710: [0, -4.2, 'w'], // Chicago
  40800: [0, -5.8, 'w'], // Sedgwick
  40660: [0, -7.3, 'w'], // Armitage
  41220: [0, -9.2, 'w'], // Fullerton
  40530: [0, -10.4, 'w'], // Diversey
  41210: [0, -11.5, 'w'], // Wellington
  41320: [0, -12.8, 'e'], // Belmont
  41420: [0, -14, 'e'], // Addison
  40080: [0, -15, 'e'], // Sheridan
  40540: [0, -16, 'e'], // Wilson
  40770: [0, -17, 'e'], // Lawrence
  41200: [0, -18, 'e'], // Argyle
  40340: [0, -19, 'e'], // Berwyn
  41380: [0, -20, 'e'], // Bryn Mawr
  40880: [0, -21, 'e'], // Thorndale
  40760: [0, -22, 'e'], // Granville
  41300: [0, -23, 'e'], // Loyola
  40100: [0, -24, 'e'], // Morse
  41190: [0, -25, 'e'], // Jarvis
  40900: [0, -26.2, 'e'], // Howard
  // Red, State Street subway
  40330: [5.8, -1.9, 'e'], // Grand
  41450: [5.8, -3.1, 'e'], // Chicago
  40630: [4.6, -4.6, 'e'], // Clark/Division
  40650: [2.6, -6.6, 'e'], // North/Clybourn
  // Purple, Evanston
  40840: [-1.5, -27.7, 'e'],
  40270: [-2.4, -28.6, 'e'],
  40690: [-3.3, -29.5, 'e'],
  40050: [-4.2, -30.4, 'e'],
  40520: [-5.1, -31.3, 'e'],
  40400: [-6, -32.2, 'e'],
  41250: [-6.9, -33.1, 'e'],
  41050: [-7.8, -34, 'e'],
  // Yellow, Skokie
  41680: [-6, -26.2, 's'],
  40140: [-10, -26.2, 's'],
  // Brown
  40360: [-2.4, -13.7, '/'], // Southport
  41310: [-4.6, -15, 'e'], // Paulina
  41440: [-4.6, -16.3, 'e'], // Addison
  41460: [-4.6, -17.6, 'e'], // Irving Park
  41500: [-4.6, -18.9, 'e'], // Montrose
  40090: [-6.3, -20.7, '/'], // Damen
  41480: [-8.1, -20.7, '/'], // Western
  41010: [-9.7, -20.7, '/'], // Rockwell
  40870: [-11.3, -20.7, '/'], // Francisco
  41180: [-12.9, -20.7, '/'], // Kedzie
  41290: [-14.6, -20.7, '/'], // Kimball
  // Blue, O'Hare
  40490: [-3.4, -2.6, 'w'], // Grand
  41410: [-4.6, -3.8, 'w'], // Chicago
  40320: [-5.8, -5, 'w'], // Division
  40590: [-7, -6.2, 'w'], // Damen
  40670: [-8.2, -7.4, 'w'], // Western
  40570: [-9.4, -8.6, 'w'], // California
  41020: [-10.6, -9.8, 'w'], // Logan Square
  40060: [-11.8, -11, 'w'], // Belmont
  41240: [-13, -12.2, 'w'], // Addison
  40550: [-14.2, -13.4, 'w'], // Irving Park
  41330: [-15.4, -14.6, 'w'], // Montrose
  41280: [-16.6, -15.8, 'w'], // Jefferson Park
  40750: [-19.6, -17.6, '/'], // Harlem
  40230: [-21.8, -17.6, '/'], // Cumberland
  40820: [-24, -17.6, '/'], // Rosemont
  40890: [-26.6, -17.6, '/'], // O'Hare
  // Green and Pink, Lake Street
  41160: [-2.8, 0, 's'], // Clinton
  41510: [-5, 0, 's'], // Morgan
  40170: [-7.2, 0, 's'], // Ashland
  41710: [-9.6, 0, '/'], // Damen
  41360: [-11.4, 0, '/'], // California
  41070: [-13.2, 0, '/'], // Kedzie
  41670: [-15, 0, '/'], // Conservatory
  40030: [-16.8, 0, '/'], // Pulaski
  40480: [-18.6, 0, '/'], // Cicero
  40700: [-20.4, 0, '/'], // Laramie
  40280: [-22.2, 0, '/'], // Central
  41260: [-24, 0, '/'], // Austin
  40610: [-25.8, 0, '/'], // Ridgeland
  41350: [-27.6, 0, '/'], // Oak Park
  40020: [-29.4, 0, '/'], // Harlem/Lake
  // Blue, Forest Park
  41340: [0.6, 11, 's'], // LaSalle
  40430: [-2.6, 11, 's'], // Clinton
  40350: [-5, 11, '/'], // UIC-Halsted
  40470: [-7, 11, '/'], // Racine
  40810: [-10.6, 11, '/'], // Illinois Medical District
  40220: [-12.6, 11, '/'], // Western
  40250: [-14.6, 11, '/'], // Kedzie-Homan
  40920: [-16.8, 11, '/'], // Pulaski
  40970: [-19, 11, '/'], // Cicero
  40010: [-22, 11, '/'], // Austin
  40180: [-24.4, 11, '/'], // Oak Park
  40980: [-26.6, 11, '/'], // Harlem
  40390: [-29.4, 11, '/'], // Forest Park
  // Pink
  41030: [-8.6, 12.7, 'e'], // Polk
  40830: [-8.6, 14.4, 'e'], // 18th
  40210: [-10.2, 16.5, '/'], // Damen
  40740: [-12, 16.5, '/'], // Western
  40440: [-13.8, 16.5, '/'], // California
  41040: [-15.6, 16.5, '/'], // Kedzie
  40780: [-17.4, 16.5, '/'], // Central Park
  40150: [-19.2, 16.5, '/'], // Pulaski
  40600: [-21, 16.5, '/'], // Kostner
  40420: [-22.8, 16.5, '/'], // Cicero
  40580: [-24.8, 16.5, '/'], // 54th/Cermak
  // South side: Red
  41490: [5.8, 10.3, 'w'], // Harrison
  41400: [L, 12.9, 'e'], // Roosevelt
  41000: [L, 15.1, 'w'], // Cermak-Chinatown
  40190: [L, 16.6, 'w'], // Sox-35th
  41230: [L, 18.3, 'w'], // 47th
  41170: [L, 19.6, 'w'], // Garfield
  40910: [L, 20.8, 'w'], // 63rd
  40990: [L, 23.2, 'e'], // 69th
  40240: [L, 24.5, 'e'], // 79th
  41430: [L, 25.8, 'e'], // 87th
  40450: [L, 27.1, 'e'], // 95th/Dan Ryan
  // Orange
  41130: [5.2, 16.6, 'w'], // Halsted
  41060: [4, 17.8, 'w'], // Ashland
  40120: [2.8, 19, 'w'], // 35th/Archer
  40310: [1.6, 20.2, 'w'], // Western
  41150: [-1.4, 21.5, '/'], // Kedzie
  40960: [-3.8, 21.5, '/'], // Pulaski
  40930: [-6.4, 21.5, '/'], // Midway
  // Green, South Side
  41690: [11.2, 15.9, 'e'], // Cermak-McCormick Place
  41120: [11.2, 17, 'e'], // 35th-Bronzeville-IIT
  40300: [11.2, 18, 'e'], // Indiana
  41270: [11.2, 18.9, 'e'], // 43rd
  41080: [11.2, 19.8, 'e'], // 47th
  40130: [11.2, 20.7, 'e'], // 51st
  40510: [11.2, 21.6, 'e'], // Garfield
  40940: [6, 22.4, 's'], // Halsted
  40290: [3.2, 22.4, 's'], // Ashland/63rd
  41140: [13.2, 22.4, 's'], // King Drive
  40720: [16.2, 22.4, 's'], // Cottage Grove
}

/** Corridor is a stretch of track and the lines on it, left to right as one goes along it. */
export interface Corridor {
  lines: readonly string[]
  /** Nodes, and [x, y] where the track bends between them. */
  path: readonly (Node | readonly [number, number])[]
}

const LOOP = ['green', 'orange', 'pink', 'purple', 'brown'] as const
const LOOP_SOUTH = ['orange', 'pink', 'purple', 'brown'] as const

export const CORRIDORS: readonly Corridor[] = [
  { lines: LOOP, path: [TOWER_18, 40380, 40260, [L, 0], 41700, 40680, TOWER_12] },
  { lines: LOOP_SOUTH, path: [TOWER_12, 40850, 40160, [0, L], 40040, 40730, TOWER_18] },
  // North: going south, left is east.
  { lines: ['red', 'purple'], path: [40900, 41190, 40100, 41300, 40760, 40880, 41380, 40340, 41200, 40770, 40540, 40080, 41420, 41320] },
  { lines: ['purple', 'brown'], path: [41220, 40660, 40800, 40710, 40460, TOWER_18] },
  { lines: ['red', 'purple', 'brown'], path: [41320, 41210, 40530, 41220] },
  { lines: ['purple'], path: [41050, 41250, 40400, 40520, 40050, 40690, 40270, 40840, 40900] },
  { lines: ['yellow'], path: [40140, 41680, 40900] },
  {
    lines: ['brown'],
    path: [41290, 41180, 40870, 41010, 41480, 40090, [-5.9, -20.7], [-4.6, -19.4], 41500, 41460, 41440, 41310, [-4.6, -14.4], [-3.9, -13.7], 40360, [-0.9, -13.7], 41320],
  },
  { lines: ['red'], path: [41220, 40650, 40630, [5.8, -3.4], 41450, 40330, 41660, 41090, 40560, 41490, 41400] },
  { lines: ['red'], path: [41400, 41000, 40190, 41230, 41170, 40910, 40990, 40240, 41430, 40450] },
  {
    lines: ['blue'],
    path: [40890, 40820, 40230, 40750, [-18.4, -17.6], 41280, 41330, 40550, 41240, 40060, 41020, 40570, 40670, 40590, 40320, 41410, 40490, [-1.8, -1], [1.8, -1], [2.8, 0], 40380],
  },
  { lines: ['blue'], path: [40380, 40370, 40790, 40070, [2.8, 10], [1.8, 11], 41340, 40430, 40350, 40470, 40810, 40220, 40250, 40920, 40970, 40010, 40180, 40980, 40390] },
  { lines: ['green'], path: [40020, 41350, 40610, 41260, 40280, 40700, 40480, 40030, 41670, 41070, 41360, 41710, 40170] },
  { lines: ['green', 'pink'], path: [40170, 41510, 41160, TOWER_18] },
  { lines: ['pink'], path: [40170, [-7.6, 0], [-8.6, 1], 41030, 40830, [-8.6, 14.9], 40210, 40740, 40440, 41040, 40780, 40150, 40600, 40420, 40580] },
  { lines: ['green', 'orange'], path: [TOWER_12, 41400] },
  { lines: ['orange'], path: [41400, [L, 13.4], 41130, 41060, 40120, 40310, [0.3, 21.5], 41150, 40960, 40930] },
  { lines: ['green'], path: [41400, [L, 13.1], 41690, 41120, 40300, 41270, 41080, 40130, 40510] },
  { lines: ['green'], path: [40510, [11.2, 21.9], [10.7, 22.4], 40940, 40290] },
  { lines: ['green'], path: [40510, [11.2, 21.9], [11.7, 22.4], 41140, 40720] },
]

/** Places of a line across the track at a node, where its corridor does not say: "line/node", + is right of `CORRIDORS`' way. */
export const SLOTS: Readonly<Record<string, number>> = { 'red/41400': 1.5 }

/** Lake Michigan and the Chicago River in the schematic. */
export const LAKE: readonly (readonly [number, number])[] = [
  [-2.6, -41], [-2.6, -34.1], [4.6, -26.9], [4.6, -19.7], [7, -17.3], [7, -10.4], [10.8, -6.6], [10.8, -1.6], [13, -1.6], [13, 5], [13, 11],
  [15.4, 13.4], [15.4, 17.4], [19.4, 21.4], [19.4, 25.4], [23, 29], [23, 36], [400, 36], [400, -41],
]
export const RIVER: readonly (readonly (readonly [number, number])[])[] = [
  [[12, -1.35], [-1.15, -1.35]],
  [[-1.15, -1.35], [-1.15, 12.6], [-4.6, 16.05], [-4.6, 18.6], [-8.4, 22.4], [-40, 22.4]],
  [[-1.15, -1.35], [-1.15, -2.6], [-3.4, -4.85], [-3.4, -9.6], [-8, -14.2], [-8, -18.1], [-9.4, -19.5], [-9.4, -36]],
]
/** The drawing's bounds: [west, north, east, south]. */
export const BOUNDS: readonly [number, number, number, number] = [-31.5, -35.1, 20, 28.2]
